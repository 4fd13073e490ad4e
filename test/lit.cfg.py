# Configuration of the lit tests: what a test is and which tools it may name.

import os
import sys

import lit.formats
from lit.llvm import llvm_config

config.name = "DSV2"
config.test_format = lit.formats.ShTest()
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.dsv2_obj_root, "test")

# A FileCheck variable ends with its function unless its name starts with `$`.
config.environment["FILECHECK_OPTS"] = "--enable-var-scope"

tools_dir = os.path.join(config.dsv2_obj_root, "bin")
llvm_config.add_tool_substitutions(
    ["dsv2-opt", "dsv2-import", "dsv2-compile", "dsv2-lsp-server"]
    + ["mlir-opt", "mlir-tblgen", "FileCheck", "not", "split-file"],
    [tools_dir, config.llvm_tools_dir],
)
lib_dir = os.path.join(config.dsv2_obj_root, "lib")
shlibext = config.llvm_shlib_ext
config.substitutions += [
    ("%dsv2_plugin", os.path.join(lib_dir, "DSV2Plugin" + shlibext)),
    ("%dsv2_lib", lib_dir),
    ("%dsv2_bin", tools_dir),
    ("%dsv2_src", config.dsv2_src_root),
    ("%mlir_include", config.mlir_include_dir),
    ("%shlibext", shlibext),
    ("%python", sys.executable),
]
