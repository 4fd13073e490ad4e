/*===- Main.c - A program in C that loads an artifact ------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0
|*
\*===----------------------------------------------------------------------===*/

int loadInC(const char *path);

int main(int argc, char **argv) { return loadInC(argc > 1 ? argv[1] : ""); }
