//===- LineEditor.cpp - Lines from a person or a pipe ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-run/LineEditor.h"

#include <clocale>
#include <iostream>

#include <histedit.h>
#include <unistd.h>

using namespace dsv2;

struct LineEditor::Terminal {
  std::string prompt;
  History *history = nullptr;
  EditLine *editor = nullptr;
};

static char *promptOf(EditLine *editor) {
  void *data = nullptr;
  el_get(editor, EL_CLIENTDATA, &data);
  return static_cast<std::string *>(data)->data();
}

/// Ctrl-D that is typed while an answer is still written reaches the editor as
/// a NUL: the terminal marks an end of input so while it reads lines itself.
static unsigned char endOfInput(EditLine *editor, int) {
  const LineInfo *line = el_line(editor);
  return line->lastchar == line->buffer ? CC_EOF : CC_ERROR;
}

LineEditor::LineEditor(std::string prompt) {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
    return;
  // libedit takes the encoding of characters from the locale.
  if (!std::setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
    std::setlocale(LC_CTYPE, "C.UTF-8");
  terminal = std::make_unique<Terminal>();
  terminal->prompt = std::move(prompt);
  terminal->editor = el_init("dsv2-run", stdin, stdout, stderr);
  terminal->history = history_init();
  if (!terminal->editor || !terminal->history) {
    // Plain lines will do.
    if (terminal->editor)
      el_end(terminal->editor);
    if (terminal->history)
      history_end(terminal->history);
    terminal.reset();
    return;
  }
  HistEvent event;
  history(terminal->history, &event, H_SETSIZE, 1000);
  history(terminal->history, &event, H_SETUNIQUE, 1);
  el_set(terminal->editor, EL_CLIENTDATA, &terminal->prompt);
  el_set(terminal->editor, EL_PROMPT, promptOf);
  el_set(terminal->editor, EL_EDITOR, "emacs");
  el_set(terminal->editor, EL_HIST, history, terminal->history);
  el_set(terminal->editor, EL_ADDFN, "end-of-input", "Ends an empty line",
         endOfInput);
  el_set(terminal->editor, EL_BIND, "^@", "end-of-input", nullptr);
  // Restores the terminal when a signal ends the program.
  el_set(terminal->editor, EL_SIGNAL, 1);
}

LineEditor::~LineEditor() {
  if (!terminal)
    return;
  el_end(terminal->editor);
  history_end(terminal->history);
}

std::optional<std::string> LineEditor::read() {
  std::string line;
  if (!terminal) {
    if (!std::getline(std::cin, line))
      return std::nullopt;
  } else {
    int count = 0;
    const char *text = el_gets(terminal->editor, &count);
    if (!text || count <= 0)
      return std::nullopt;
    line.assign(text, static_cast<size_t>(count));
    if (line.find_first_not_of(" \n") != std::string::npos) {
      HistEvent event;
      history(terminal->history, &event, H_ENTER, text);
    }
  }
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
    line.pop_back();
  return line;
}
