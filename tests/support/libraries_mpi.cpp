#include <mpi.h>

#include "dualscape/base/comm.hpp"
#include "support/collective.hpp"

namespace dualscape::testing {

void begin_libraries(int* argc, char*** argv) {
  MPI_Init(argc, argv);
}
void end_libraries() {
  MPI_Finalize();
}
int objects_left() {
  return Comm::alive();
}

}  // namespace dualscape::testing
