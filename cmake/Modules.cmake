# dualscape_module(name DEPENDS modules... LIBRARIES targets... PRIVATE_LIBRARIES targets...): the library of one folder of src/, target dualscape::name.
function(dualscape_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES;PRIVATE_LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_library(dualscape_${name} STATIC ${sources})
  add_library(dualscape::${name} ALIAS dualscape_${name})
  target_include_directories(dualscape_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include)
  list(TRANSFORM ARG_DEPENDS PREPEND dualscape::)
  target_link_libraries(dualscape_${name} PUBLIC ${ARG_DEPENDS} ${ARG_LIBRARIES} PRIVATE ${ARG_PRIVATE_LIBRARIES}
                        dualscape_options)
endfunction()

# Compiler options shared by every target of the project. -fno-math-errno and -fno-trapping-math let the element-wise
# loops vectorise and change no result; nothing that reorders sums (-ffast-math) is ever used. Designated initializers
# leave the other members at their defaults on purpose.
add_library(dualscape_options INTERFACE)
target_compile_options(dualscape_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers
                       -fno-math-errno -fno-trapping-math)
# AVX2 and FMA are on every cluster processor since 2013; with them the demonstration's whole run takes 5 % less. The
# BLAS chooses its kernels by itself at run time.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(default_arch "x86-64-v3")
endif()
set(DUALSCAPE_ARCH "${default_arch}" CACHE STRING "Processor to compile for (-march); empty: the compiler's default")
if(DUALSCAPE_ARCH)
  target_compile_options(dualscape_options INTERFACE -march=${DUALSCAPE_ARCH})
endif()
if(DUALSCAPE_WARNINGS_AS_ERRORS)
  target_compile_options(dualscape_options INTERFACE -Werror)
endif()
if(DUALSCAPE_SANITIZE)
  target_compile_options(dualscape_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                         -fno-omit-frame-pointer)
  target_link_options(dualscape_options INTERFACE -fsanitize=address,undefined)
endif()
