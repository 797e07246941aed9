#include <mpi.h>

#include <memory>

#include "dualscape/base/comm.hpp"
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
int objects_left() {
  return Comm::alive() + petsc::handles_alive();
}

}  // namespace dualscape::testing
