# Fails when PROGRAM needs a shared library that not every Linux has.
execute_process(COMMAND ldd ${PROGRAM}
  OUTPUT_VARIABLE output RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "ldd failed on ${PROGRAM}")
endif()
string(REPLACE "\n" ";" lines "${output}")
foreach(line IN LISTS lines)
  if(line AND NOT line MATCHES "linux-vdso|ld-linux|libc\\.so|libm\\.so|libdl\\.so|libpthread\\.so")
    message(FATAL_ERROR "unexpected shared library:${line}")
  endif()
endforeach()
