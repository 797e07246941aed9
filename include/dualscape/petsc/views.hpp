#pragma once

#include <petscmat.h>

#include "dualscape/base/matrix.hpp"
#include "dualscape/petsc/error.hpp"

/// The local entries of PETSc objects for the length of a scope.
namespace dualscape::petsc {

/// This rank's part of an object seen as a block of vectors: one for a Vec, the columns for a dense matrix.
struct BlockShape {
  Index vectors = 0;
  Index length = 0;
  Index stride = 0;
};
BlockShape local_shape(Vec vec);
BlockShape local_shape(Mat dense);

/// Takes the entries from PETSc and gives them back at the end of the scope; throws CallError when PETSc
/// refuses.
template <class Object, class Entry, PetscErrorCode (*get)(Object, Entry**),
          PetscErrorCode (*restore)(Object, Entry**)>
class LocalEntries {
 public:
  explicit LocalEntries(Object object) : object_(object), shape_(local_shape(object)) {
    check(get(object_, &data_), "taking the entries of a PETSc object");
  }
  ~LocalEntries() { static_cast<void>(restore(object_, &data_)); }
  LocalEntries(const LocalEntries&) = delete;
  LocalEntries& operator=(const LocalEntries&) = delete;

  MatrixView<Entry> block() const { return {data_, shape_.vectors, shape_.length, shape_.stride}; }

 private:
  Object object_;
  BlockShape shape_;
  Entry* data_ = nullptr;
};

/// Old values are undefined in the views that write.
using VecReadView = LocalEntries<Vec, const double, VecGetArrayRead, VecRestoreArrayRead>;
using VecWriteView = LocalEntries<Vec, double, VecGetArrayWrite, VecRestoreArrayWrite>;
using DenseReadView = LocalEntries<Mat, const double, MatDenseGetArrayRead, MatDenseRestoreArrayRead>;
using DenseWriteView = LocalEntries<Mat, double, MatDenseGetArrayWrite, MatDenseRestoreArrayWrite>;

}  // namespace dualscape::petsc
