//===- LineEditor.h - Lines from a person or a pipe -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// On a terminal, libedit edits the line and keeps a history. It is linked
// statically with what it needs, so that the program runs where nothing is
// installed; readline could not be, because its license asks for more.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_RUN_LINEEDITOR_H
#define DSV2_TOOLS_RUN_LINEEDITOR_H

#include <memory>
#include <optional>
#include <string>

namespace dsv2 {

class LineEditor {
public:
  /// `prompt` is shown on a terminal only.
  explicit LineEditor(std::string prompt);
  ~LineEditor();

  /// The next line without its end; none at the end of the input.
  std::optional<std::string> read();

  bool onTerminal() const { return terminal != nullptr; }

private:
  struct Terminal;
  std::unique_ptr<Terminal> terminal; ///< null: a pipe or a file
};

} // namespace dsv2

#endif // DSV2_TOOLS_RUN_LINEEDITOR_H
