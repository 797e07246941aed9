/// Times the published demonstration's default run on this machine: training, complete spectrum, duality.
/// Each stage is set beside the rate of a square GEMM measured in the same run, so that noise of the machine
/// shows, and beside the authors' own program (seconds on another day, see README). Usage: bench_demo [DECK]
/// [key=value]...
#include <fmt/format.h>
#include <mpi.h>

#include <iostream>
#include <limits>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/clock.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/deck/reader.hpp"
#include "dualscape/petsc/session.hpp"
#include "dualscape/study/analysis.hpp"
#include "dualscape/study/plan.hpp"
#include "dualscape/study/run_folder.hpp"
#include "dualscape/train/trainer.hpp"

namespace {

using namespace dualscape;

/// Best of a few square products, in Gflop/s.
double gemm_rate() {
  constexpr Index n = 1024;
  Matrix<double> a(n, n), b(n, n), c(n, n);
  const Random random(1, Stream::probe);
  for (Index i = 0; i < n * n; ++i) a.data()[i] = b.data()[i] = random.uniform(static_cast<std::uint64_t>(i));
  double best = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = Clock::now();
    gemm<double>(Op::none, Op::transpose, 1.0, a.view(), b.view(), 0.0, c.view());
    best = std::min(best, seconds_since(start));
  }
  return 2e-9 * static_cast<double>(n * n * n) / best;
}

void print_row(const char* stage, double seconds, double authors) {
  std::cout << fmt::format("{:<22}{:>10.3f}{:>12.0f}{:>10.1f}\n", stage, seconds, authors, authors / seconds);
}

void run(const Comm& comm, const std::string& deck_path, const std::vector<std::string>& settings) {
  const deck::Config config = deck::read_deck(study::read_file(deck_path), deck_path, settings);
  set_blas_threads(config.numerics.threads);
  Log log(false);
  const data::Dataset data = data::load(comm, study::data_options(config));
  const nn::Network network = study::make_network(config.network, data);

  auto start = Clock::now();
  train::Trainer<double> trainer(
      comm, network, data.train, data.test,
      {.training = config.training.value(), .seed = config.seed, .scale = config.data.scale});
  train::State state = trainer.start(network.initial_parameters(config.seed, config.network.init_scale));
  trainer.run(state, [](const train::State&) { return true; });
  const double training = seconds_since(start);

  start = Clock::now();
  const auto spectrum = study::find_spectrum(comm, network, state.parameters, data, config, log);
  const double curvature = seconds_since(start);

  start = Clock::now();
  const auto layers = study::decompose_gap(comm, network, state.parameters, data, config, spectrum, log);
  const double duality = seconds_since(start);

  if (!comm.is_root()) return;
  std::cout << fmt::format("{}, {} ranks, {}, dgemm {:.1f} Gflop/s a rank; {} epochs, matched gap {:.6g}\n\n",
                           data.description, comm.size(), blas_description(), gemm_rate(), state.epoch,
                           layers.front().decomposition.matched_gap);
  std::cout << fmt::format("{:<22}{:>10}{:>12}{:>10}\n", "stage", "seconds", "authors'", "ratio");
  print_row("training", training, 22);
  print_row("complete spectrum", curvature, 9);
  print_row("duality", duality, 13);
  print_row("all three", training + curvature + duality, 45);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  MPI_Init(&argc, &argv);
  int status = 0;
  {
    const Comm comm(MPI_COMM_WORLD);
    try {
      const petsc::Session session;
      run(comm, argc > 1 ? argv[1] : "inputs/quickstart.toml", {argv + std::min(argc, 2), argv + argc});
    } catch (const Error& error) {
      if (comm.is_root()) std::cerr << "bench_demo: " << error.what() << "\n";
      status = static_cast<int>(error.code());
    }
  }
  MPI_Finalize();
  return status;
}
