# SPDX-License-Identifier: MIT
# Tests of examples/llama and its program.
find_package(nlohmann_json REQUIRED)
ecco_test(llama_test unit ecco_llama nlohmann_json::nlohmann_json)
ecco_test(llama_cli_test cli nlohmann_json::nlohmann_json)
target_compile_definitions(llama_cli_test PRIVATE
  ECCO_LLAMA_PROGRAM="$<TARGET_FILE:ecco_llama_program>")
add_dependencies(llama_cli_test ecco_llama_program)
