#include "dualscape/petsc/views.hpp"

namespace dualscape::petsc {

BlockShape local_shape(Vec vec) {
  PetscInt length = 0;
  check(VecGetLocalSize(vec, &length), "VecGetLocalSize");
  return {.vectors = 1, .length = length, .stride = length};
}

BlockShape local_shape(Mat dense) {
  PetscInt length = 0;
  PetscInt vectors = 0;
  PetscInt stride = 0;
  check(MatGetLocalSize(dense, &length, nullptr), "MatGetLocalSize");
  check(MatGetSize(dense, nullptr, &vectors), "MatGetSize");
  check(MatDenseGetLDA(dense, &stride), "MatDenseGetLDA");
  return {.vectors = vectors, .length = length, .stride = stride};
}

}  // namespace dualscape::petsc
