# SPDX-License-Identifier: MIT
# ECCO_CUDA: finds and enables the CUDA compiler, or does without. Sets ECCO_WITH_CUDA.
set(ECCO_CUDA AUTO CACHE STRING "GPU kernels: ON, OFF, or AUTO (if a CUDA compiler is found)")
set_property(CACHE ECCO_CUDA PROPERTY STRINGS ON OFF AUTO)
set(ECCO_CUDA_ARCHITECTURES "80-real;86-real;89-real;90-real;100-real;120" CACHE STRING
  "GPUs that the library ecco_cuda runs on: machine code for each, and PTX of the newest")
set(ECCO_WITH_CUDA OFF)
if(ECCO_CUDA STREQUAL "OFF")
  return()
endif()

if(NOT CMAKE_CUDA_COMPILER)
  find_program(ECCO_NVCC nvcc HINTS /usr/local/cuda/bin DOC "CUDA compiler")
  if(DEFINED ENV{CUDACXX})
    set(CMAKE_CUDA_COMPILER "$ENV{CUDACXX}")
  elseif(ECCO_NVCC)
    set(CMAKE_CUDA_COMPILER "${ECCO_NVCC}")
  elseif(ECCO_CUDA STREQUAL "AUTO")
    message(STATUS "CUDA: no compiler found, GPU kernels are left out")
    return()
  endif()
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES ${ECCO_CUDA_ARCHITECTURES})  # CMake's default is older than nvcc 13
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc has C++20
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(ECCO_WITH_CUDA ON)
