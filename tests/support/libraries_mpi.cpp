#include <mpi.h>

#include "support/collective.hpp"

namespace dualscape::testing {

void begin_libraries(int* argc, char*** argv) {
  MPI_Init(argc, argv);
}
void end_libraries() {
  MPI_Finalize();
}

}  // namespace dualscape::testing
