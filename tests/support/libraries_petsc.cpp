#include <mpi.h>

#include <memory>

#include "dualscape/petsc/session.hpp"
#include "support/collective.hpp"

namespace dualscape::testing {
namespace {

std::unique_ptr<petsc::Session> session;

}  // namespace

void begin_libraries(int* argc, char*** argv) {
  MPI_Init(argc, argv);
  session = std::make_unique<petsc::Session>();
}
void end_libraries() {
  session.reset();
  MPI_Finalize();
}

}  // namespace dualscape::testing
