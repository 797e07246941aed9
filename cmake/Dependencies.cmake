# Every library the project uses, found once. On a cluster, load its modules and set PKG_CONFIG_PATH to
# $PETSC_DIR/$PETSC_ARCH/lib/pkgconfig and $SLEPC_DIR/$PETSC_ARCH/lib/pkgconfig: PETSc and SLEPc are found through
# their pkg-config files, whose names differ between installations only in case.

foreach(name PETSC SLEPC)
  if(DEFINED ENV{${name}_DIR})
    set(prefix "$ENV{${name}_DIR}/$ENV{PETSC_ARCH}/lib/pkgconfig:$ENV{${name}_DIR}/lib/pkgconfig")
    set(ENV{PKG_CONFIG_PATH} "${prefix}:$ENV{PKG_CONFIG_PATH}")
  endif()
endforeach()

# Only the C interface of MPI is used; Open MPI's deprecated C++ bindings stay out of every translation unit.
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI REQUIRED COMPONENTS C CXX)
find_package(PkgConfig REQUIRED)
pkg_search_module(PETSC REQUIRED IMPORTED_TARGET PETSc>=3.18 petsc>=3.18)
pkg_search_module(SLEPC REQUIRED IMPORTED_TARGET SLEPc>=3.18 slepc>=3.18)
pkg_search_module(HDF5 REQUIRED IMPORTED_TARGET hdf5-openmpi hdf5-mpich hdf5-mpi hdf5)
pkg_search_module(BLAS REQUIRED IMPORTED_TARGET openblas)
find_package(ZLIB REQUIRED)
find_package(fmt CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(tomlplusplus CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_path(RANDOM123_INCLUDE_DIR Random123/philox.h REQUIRED)
