# SPDX-License-Identifier: MIT
# Tests of docs/: the specification's example, the golden files, and the reader in Python.

# A Python that has NumPy; the first python3 of the path may be one without.
if(NOT ECCO_PYTHON)
  foreach(candidate python3 /usr/bin/python3)
    execute_process(COMMAND ${candidate} -c "import numpy" RESULT_VARIABLE failed
      OUTPUT_QUIET ERROR_QUIET)
    if(failed EQUAL 0)
      set(ECCO_PYTHON ${candidate} CACHE STRING "Python 3 with NumPy (python3-numpy), for tests")
      break()
    endif()
  endforeach()
endif()
if(NOT ECCO_PYTHON)
  message(FATAL_ERROR "no python3 with NumPy found: docs/reader.py is tested against the library. "
    "Install python3-numpy, set ECCO_PYTHON, or set ECCO_BUILD_TESTS=OFF.")
endif()

ecco_test(golden_test unit)
ecco_test(golden_h4_test unit)
ecco_test(format_doc_test unit)
target_include_directories(format_doc_test PRIVATE "${ECCO_XXHASH_INCLUDE_DIR}")
ecco_test(reader_test unit)
target_include_directories(reader_test PRIVATE "${ECCO_XXHASH_INCLUDE_DIR}")
foreach(test format_doc_test reader_test)
  target_compile_definitions(${test} PRIVATE
    ECCO_DOCS="${PROJECT_SOURCE_DIR}/docs" ECCO_PYTHON="${ECCO_PYTHON}")
endforeach()

# The pure functions of bench/paper; what it measures takes too long for a test.
add_test(NAME paper_test
  COMMAND ${ECCO_PYTHON} -B "${PROJECT_SOURCE_DIR}/bench/paper/paper_test.py")
set_tests_properties(paper_test PROPERTIES LABELS unit TIMEOUT 60)
