# SPDX-License-Identifier: MIT
# Files: reading, writing, corrupt ones.
find_package(nlohmann_json REQUIRED)
ecco_test(safetensors_test unit nlohmann_json::nlohmann_json)
ecco_test(header_memory_test unit nlohmann_json::nlohmann_json)
ecco_test(model_test unit nlohmann_json::nlohmann_json)
ecco_test(model_corrupt_test unit nlohmann_json::nlohmann_json)
target_include_directories(model_test PRIVATE "${ECCO_XXHASH_INCLUDE_DIR}")
target_include_directories(model_corrupt_test PRIVATE "${ECCO_XXHASH_INCLUDE_DIR}")
