//===- CompilerTool.cpp - What the compiler's programs share --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/CompilerTool.h"

#include "runtime/base/AtomicFile.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

#ifndef DSV2_VERSION
#error "the build defines DSV2_VERSION"
#endif

using namespace llvm;

/// The first line of what LLVM reports of a command line, in our words.
static std::string commandLineError(StringRef tool, StringRef report) {
  auto [line, rest] = report.trim().split('\n');
  line.consume_front((tool + ": ").str());
  line = line.substr(0, line.find(".  Try: ")).rtrim("!");
  if (line.starts_with("Not enough pos") || line.starts_with("Too many pos"))
    return "expects one argument, SOURCE; run with --help";
  std::string text = line.str();
  if (line.consume_front("Unknown command line argument "))
    text = ("unknown argument " + line).str();
  // "tool: Did you mean '--target=x'?"
  size_t meant = rest.find("Did you mean '--");
  if (meant != StringRef::npos)
    return text + "; did you mean " +
           rest.substr(meant + strlen("Did you mean ")).split('\n').first.str();
  return text + "; run with --help";
}

void mlir::dsv2::parseToolOptions(int argc, char **argv,
                                  cl::OptionCategory &category,
                                  StringRef overview) {
  cl::HideUnrelatedOptions(category);
  cl::SetVersionPrinter([](raw_ostream &os) {
    os << "dsv2 " DSV2_VERSION " (LLVM " LLVM_VERSION_STRING ")\n";
  });
  std::string report;
  raw_string_ostream stream(report);
  if (cl::ParseCommandLineOptions(argc, argv, overview, &stream))
    return;
  // A value that does not parse was reported, in one line, by its option.
  StringRef tool = sys::path::filename(argv[0]);
  if (!report.empty())
    reportError(tool, commandLineError(tool, report));
  std::exit(1);
}

int mlir::dsv2::reportError(StringRef tool, const Twine &message) {
  WithColor::error(errs(), tool) << message << "\n";
  return 1;
}

mlir::dsv2::FirstErrorReporter::FirstErrorReporter(MLIRContext *context,
                                                   StringRef tool)
    : ScopedDiagnosticHandler(context) {
  setHandler([this, tool](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Error || reported)
      return;
    reported = true;
    std::string text;
    raw_string_ostream stream(text);
    if (auto place = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
      stream << place.getFilename().getValue() << ":" << place.getLine() << ":"
             << place.getColumn() << ": ";
    stream << diagnostic;
    llvm::replace(text, '\n', ' ');
    reportError(tool, text);
  });
}

/// To stdout or a device, neither of which can be replaced.
static ::dsv2::Status writeStream(StringRef path, StringRef text) {
  std::error_code code;
  raw_fd_ostream stream(path, code);
  if (!code) {
    stream << text;
    stream.flush();
    code = stream.error();
    stream.clear_error();
  }
  if (!code)
    return ::dsv2::Status();
  return ::dsv2::Status(::dsv2::StatusCode::ioError,
                        ("cannot write " +
                         (path == "-" ? "to stdout" : "'" + path.str() + "'") +
                         ": " + code.message()));
}

::dsv2::Status mlir::dsv2::writeText(StringRef path, StringRef text) {
  sys::fs::file_status status;
  if (path == "-" || (!sys::fs::status(path, status) &&
                      status.type() == sys::fs::file_type::character_file))
    return writeStream(path, text);
  auto file = ::dsv2::AtomicFile::create(path.str());
  if (!file.ok())
    return file.status();
  DSV2_RETURN_IF_ERROR(file->append(std::string_view(text)));
  return file->commit();
}
