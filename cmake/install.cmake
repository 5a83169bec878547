# SPDX-License-Identifier: MIT
# Install rules: headers, library, and the CMake package that find_package(ecco) finds.
include(CMakePackageConfigHelpers)

set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/ecco")
install(TARGETS ecco ecco_headers EXPORT ecco_targets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY include/ecco DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh")
install(FILES LICENSE README.md docs/format.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(EXPORT ecco_targets NAMESPACE ecco:: DESTINATION "${config_dir}")
if(ECCO_WITH_CUDA)  # find_package(ecco COMPONENTS cuda)
  install(TARGETS ecco_cuda EXPORT ecco_cuda_targets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT ecco_cuda_targets NAMESPACE ecco:: DESTINATION "${config_dir}")
  get_target_property(ECCO_CUDA_NEEDS ecco_cuda INTERFACE_LINK_LIBRARIES)
  list(FILTER ECCO_CUDA_NEEDS INCLUDE REGEX "^CUDA::")  # what its users' machines must have, too
endif()
configure_package_config_file(cmake/ecco-config.cmake.in "${PROJECT_BINARY_DIR}/ecco-config.cmake"
  INSTALL_DESTINATION "${config_dir}")
# Before 1.0 a minor version may change the interface; the soname says the same.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ecco-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/ecco-config.cmake" "${PROJECT_BINARY_DIR}/ecco-config-version.cmake"
  DESTINATION "${config_dir}")
