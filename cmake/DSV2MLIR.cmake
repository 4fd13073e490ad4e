# Finds Debian's MLIR and sets it up for this tree.

# Debian links every mlir tool against libMLIR.so; do the same, so that one copy
# of each TypeID and registry exists even when a plugin is loaded.
set(MLIR_LINK_MLIR_DYLIB ON)
find_package(MLIR 22.1 REQUIRED CONFIG HINTS /usr/lib/llvm-22)

set(LLVM_RUNTIME_OUTPUT_INTDIR ${PROJECT_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${PROJECT_BINARY_DIR}/lib)
set(MLIR_BINARY_DIR ${PROJECT_BINARY_DIR})

list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include(HandleLLVMOptions)
# Our own sources use exceptions nowhere, but libraries such as nlohmann-json do
# inside the folders that do not include MLIR.
string(REPLACE "-fno-exceptions" "" CMAKE_CXX_FLAGS "${CMAKE_CXX_FLAGS}")
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})

# Debian installs lit as `lit`; its LLVMConfig.cmake names an absent `llvm-lit`.
set(LLVM_EXTERNAL_LIT ${LLVM_TOOLS_BINARY_DIR}/lit CACHE FILEPATH "Path to lit")
set(LLVM_LIT_ARGS "-sv" CACHE STRING "Arguments passed to lit")
