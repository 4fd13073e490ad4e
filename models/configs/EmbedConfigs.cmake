# Writes OUTPUT, a C++ source that holds the JSON files FILES as the table
# behind listBuiltinConfigs(), sorted by name. Run with cmake -P.

set(names "")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME_WE)
  list(APPEND names ${name})
  set(file_${name} ${file})
endforeach()
list(SORT names)

set(entries "")
foreach(name IN LISTS names)
  file(READ ${file_${name}} json)
  string(APPEND entries "    {\"${name}\", R\"json(${json})json\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Generated from models/configs; do not edit.
#include \"models/BuiltinConfigs.h\"

static constexpr dsv2::BuiltinConfig table[] = {
${entries}};

std::span<const dsv2::BuiltinConfig> dsv2::listBuiltinConfigs() { return table; }
")
