/// Speed of the curvature products against the machine's own limit: gradient, Hessian product (activities
/// kept and recomputed), Gauss-Newton, empirical Fisher, blocks of vectors, each beside the rate of a square
/// GEMM measured in the same run, in turn with them. On several ranks also rank 0 alone, for the efficiency.
/// See
/// --help, and the README's section on speed for what the columns mean.
#include <fmt/format.h>
#include <mpi.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dualscape/base/blas.hpp"
#include "dualscape/base/error.hpp"
#include "dualscape/base/memory.hpp"
#include "dualscape/base/random.hpp"
#include "dualscape/data/rows.hpp"
#include "dualscape/operators/block.hpp"
#include "dualscape/operators/curvature.hpp"

namespace {

using namespace dualscape;
using Clock = std::chrono::steady_clock;

struct Settings {
  std::vector<std::string> shapes = {"784-2048-2048-10", "784-512-512-10", "784-30-30-10"};
  std::vector<std::string> precisions = {"single", "double"};
  std::vector<std::string> products;  ///< names of the kinds to measure; empty: all
  std::string activation = "relu";
  Index samples = 10'000;
  Index tile = 0;
  Index vectors = 10;
  int rounds = 3;
  double seconds = 0.3;       ///< a measurement repeats a short product for about this long
  double block_limit = 20.0;  ///< blocks are measured where single products would take less than this
  std::string json;
};

/// What is timed, and how many multiply-adds a sample and weight cost (first layer, other layers).
struct Kind {
  const char* name;
  double first;
  double others;
  Index vectors = 1;
};

struct Timing {
  Kind kind;
  double seconds = std::numeric_limits<double>::infinity();  ///< best of all rounds
  double rate = 0;                                           ///< Gflop/s a rank
};

struct Report {
  std::string shape;
  std::string precision;
  Index parameters = 0;
  Index tile = 0;
  double gemm = 0;  ///< Gflop/s a rank, all ranks at once
  std::vector<Timing> timings;
  std::optional<double> alone;  ///< seconds of a Hessian product on rank 0 alone

  const Timing& of(std::string_view name) const {
    return *std::ranges::find_if(timings, [&](const Timing& t) { return t.kind.name == name; });
  }
  bool has(std::string_view name) const {
    return std::ranges::any_of(timings, [&](const Timing& t) { return t.kind.name == name; });
  }
};

/// Seconds of one call, by the slowest rank, repeated for at least `least` seconds.
double time(const Comm& comm, double least, const std::function<void()>& call) {
  comm.barrier();
  const auto start = Clock::now();
  int calls = 0;
  double passed = 0;
  do {
    call();
    ++calls;
    passed = comm.max(std::chrono::duration<double>(Clock::now() - start).count());
  } while (passed < least);
  return passed / calls;
}

template <class Real>
double gemm_rate(const Comm& comm) {
  constexpr Index n = 1536;
  Matrix<Real> a(n, n), b(n, n), c(n, n);
  const Random random(1, Stream::probe);
  for (Index i = 0; i < n * n; ++i)
    a.data()[i] = b.data()[i] = static_cast<Real>(random.uniform(static_cast<std::uint64_t>(i)));
  double best = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < 5; ++repeat)
    best = std::min(best, time(comm, 0, [&] {
                      gemm<Real>(Op::none, Op::transpose, 1, a.view(), b.view(), 0, c.view());
                    }));
  return 2e-9 * static_cast<double>(n * n * n) / best;
}

nn::Network make_network(const std::string& shape, const std::string& activation) {
  const auto found = parse_choice<Activation>(activation);
  std::vector<Index> widths;
  for (const std::string& width : CLI::detail::split(shape, '-')) {
    Index value = 0;
    if (!CLI::detail::lexical_cast(width, value) || value < 1)
      throw UsageError(fmt::format("--shape: '{}' is no list of widths such as 784-512-512-10", shape));
    widths.push_back(value);
  }
  if (widths.size() < 2 || !found) throw UsageError("--shape needs two widths or more, --activation a name");
  std::vector<nn::LayerSpec> layers;
  for (std::size_t l = 1; l < widths.size(); ++l)
    layers.push_back({.name = fmt::format("dense{}", l), .units = widths[l], .activation = *found});
  return nn::Network(widths.front(), layers, Loss::cross_entropy);
}

/// Images of random bytes, the same samples at any number of ranks.
template <class Real>
Samples<Real> random_samples(const Comm& comm, const nn::Network& network, Index count) {
  const Lanes lanes(count, Lanes::automatic(count));
  const Index begin = lanes.first_sample(comm.rank(), comm.size());
  const Index own = lanes.first_sample(comm.rank() + 1, comm.size()) - begin;
  const auto rows = std::make_shared<data::Rows>(own, network.features(), data::Element::byte);
  Samples<Real> samples{.lanes = lanes, .labels = {}, .inputs = {}};
  for (Index i = 0; i < own; ++i) {
    const Random random(3, Stream::probe, static_cast<std::uint32_t>(begin + i));
    samples.labels.push_back(static_cast<int>((begin + i) % network.outputs()));
    for (Index j = 0; j < network.features(); ++j)
      rows->row(i)[static_cast<std::size_t>(j)] =
          static_cast<std::byte>(256 * random.uniform(static_cast<std::uint64_t>(j)));
  }
  samples.inputs = [rows](Index first, MatrixView<Real> out) {
    rows->copy_scaled(first, out.rows, out, 255.0);
  };
  return samples;
}

/// Adds up the seconds of products with an operator.
class Products {
 public:
  Products(const LinearOperator& op, Index vectors)
      : op_(op),
        in_(vectors, op.domain().count(op.comm().rank())),
        out_(vectors, op.range().count(op.comm().rank())) {
    const Random random(5, Stream::probe);
    for (std::size_t i = 0; i < in_.entries().size(); ++i) in_.entries()[i] = random.normal(i);
  }
  void block() { op_.apply(in_.view(), out_.view()); }
  void one_by_one() {
    for (Index j = 0; j < in_.rows(); ++j) op_.apply(in_.view().rows_from(j, 1), out_.view().rows_from(j, 1));
  }

 private:
  const LinearOperator& op_;
  Matrix<double> in_;
  Matrix<double> out_;
};

double multiply_adds(const nn::Network& network, const Kind& kind) {
  double sum = 0;
  for (Index l = 0; l < network.depth(); ++l)
    sum += (l == 0 ? kind.first : kind.others) * static_cast<double>(network.layer(l).weight_size);
  return sum * static_cast<double>(kind.vectors);
}

bool wants(const Settings& settings, std::string_view name) {
  return settings.products.empty() || std::ranges::find(settings.products, name) != settings.products.end();
}

constexpr Kind gradient{"gradient", 2, 3};
constexpr Kind hessian{"hessian", 2, 6};
constexpr Kind recomputing{"hessian, recomputing", 3, 8};
constexpr Kind gauss_newton{"gauss-newton", 2, 4};
constexpr Kind fisher{"empirical-fisher", 2, 2};
constexpr Kind one_by_one{"hessian, one by one", 2, 6};
constexpr Kind block_product{"hessian, block", 2, 6};

template <class Real>
Report measure(const Comm& comm, const Settings& settings, const std::string& shape) {
  const nn::Network network = make_network(shape, settings.activation);
  const auto parameters = network.initial_parameters(1, 1.0);
  const auto block = operators::select_block(network, {"all"});
  const auto samples = random_samples<Real>(comm, network, settings.samples);
  const nn::Linearisation<Real> kept(comm, network, parameters, samples, {.tile = settings.tile});
  const nn::Linearisation<Real> recomputed(comm, network, parameters, samples,
                                           {.tile = settings.tile, .cache_bytes = 0});
  std::vector<std::unique_ptr<LinearOperator>> operators;
  std::vector<std::unique_ptr<Products>> products;
  const auto product = [&](Curvature kind, const nn::Linearisation<Real>& linearisation, Index vectors) {
    operators.push_back(operators::make_curvature<Real>(kind, linearisation, block));
    products.push_back(std::make_unique<Products>(*operators.back(), vectors));
    return products.back().get();
  };

  Report report{.shape = shape,
                .precision = sizeof(Real) == 4 ? "single" : "double",
                .parameters = network.parameters(),
                .tile = kept.tile_size()};
  std::vector<std::function<void()>> calls;
  const auto add = [&](const Kind& kind, std::function<void()> call) {
    if (!wants(settings, kind.name)) return;
    report.timings.push_back({.kind = kind});
    calls.push_back(std::move(call));
  };
  operators::MeanGradient<Real> mean_gradient(recomputed, block);
  Matrix<double> own_gradient(1, mean_gradient.partition().count(comm.rank()));
  add(gradient, [&] { mean_gradient.compute(own_gradient.view()); });
  const auto by = [](Products* p) { return [p] { p->block(); }; };
  add(hessian, by(product(Curvature::hessian, kept, 1)));
  add(recomputing, by(product(Curvature::hessian, recomputed, 1)));
  add(gauss_newton, by(product(Curvature::gauss_newton, kept, 1)));
  add(fisher, by(product(Curvature::empirical_fisher, kept, 1)));

  // A block's buffers are made only where it is measured.
  const auto once = [&] { return time(comm, 0, by(product(Curvature::hessian, kept, 1))); };
  if (settings.vectors > 1 && (wants(settings, one_by_one.name) || wants(settings, block_product.name)) &&
      static_cast<double>(settings.vectors) * once() < settings.block_limit) {
    Products* const many = product(Curvature::hessian, kept, settings.vectors);
    const auto of_many = [&](Kind kind) {
      kind.vectors = settings.vectors;
      return kind;
    };
    add(of_many(one_by_one), [many] { many->one_by_one(); });
    add(of_many(block_product), by(product(Curvature::hessian, kept, settings.vectors)));
  }

  std::optional<Comm> self;
  std::unique_ptr<nn::Linearisation<Real>> whole;
  std::function<void()> alone;
  if (comm.size() > 1 && wants(settings, hessian.name)) {
    self.emplace(comm.split(comm.rank()));
    if (comm.is_root()) {
      whole = std::make_unique<nn::Linearisation<Real>>(
          *self, network, parameters, random_samples<Real>(*self, network, settings.samples),
          typename nn::Linearisation<Real>::Options{.tile = settings.tile});
      alone = by(product(Curvature::hessian, *whole, 1));
    }
    report.alone = std::numeric_limits<double>::infinity();
  }

  for (int round = 0; round < settings.rounds; ++round) {
    report.gemm = std::max(report.gemm, gemm_rate<Real>(comm));
    for (std::size_t i = 0; i < calls.size(); ++i)
      report.timings[i].seconds = std::min(report.timings[i].seconds, time(comm, settings.seconds, calls[i]));
    if (alone) *report.alone = std::min(*report.alone, time(*self, settings.seconds, alone));
    comm.barrier();
  }
  for (Timing& t : report.timings)
    t.rate = 2e-9 * static_cast<double>(settings.samples) * multiply_adds(network, t.kind) / t.seconds /
             comm.size();
  return report;
}

/// Seconds over the gradient's, beside the ratio of multiply-adds.
std::string ratio_text(const Report& report, const nn::Network& network, const Timing& t) {
  if (!report.has(gradient.name)) return "";
  const Timing& reference = report.of(gradient.name);
  return fmt::format("{:>8.3f}{:>8.3f}", t.seconds / reference.seconds,
                     multiply_adds(network, t.kind) / multiply_adds(network, reference.kind));
}

void print(const Report& report, const Settings& settings, int ranks) {
  const nn::Network network = make_network(report.shape, settings.activation);
  std::cout << fmt::format(
      "\n{}, {} precision, N = {}, P = {}, {} rank{}, tiles of {}; square GEMM {:.1f} Gflop/s a rank\n",
      report.shape, report.precision, settings.samples, report.parameters, ranks, ranks == 1 ? "" : "s",
      report.tile, report.gemm);
  std::cout << fmt::format("{:<24}{:>10}{:>10}{:>8}{:>8}{:>8}\n", "", "seconds", "Gflop/s", "of GEMM",
                           "/grad.", "units");
  for (const Timing& t : report.timings)
    std::cout << fmt::format("{:<24}{:>10.4f}{:>10.1f}{:>8.3f}{}\n", t.kind.name, t.seconds, t.rate,
                             t.rate / report.gemm, ratio_text(report, network, t));
  if (report.has(one_by_one.name) && report.has(block_product.name))
    std::cout << fmt::format("a block of {} over single products: {:.2f}x\n", settings.vectors,
                             report.of(one_by_one.name).seconds / report.of(block_product.name).seconds);
  if (report.alone)
    std::cout << fmt::format("rank 0 alone: {:.4f} s; efficiency of {} ranks {:.3f}\n", *report.alone, ranks,
                             *report.alone / report.of(hessian.name).seconds / ranks);
}

std::string json(const std::vector<Report>& reports, const Settings& settings, int ranks) {
  std::string text = fmt::format("{{\"blas\": \"{}\", \"ranks\": {}, \"samples\": {}, \"cases\": [",
                                 blas_description(), ranks, settings.samples);
  for (const Report& report : reports) {
    const nn::Network network = make_network(report.shape, settings.activation);
    text += fmt::format(
        "{}\n {{\"shape\": \"{}\", \"precision\": \"{}\", \"parameters\": {}, \"tile\": {}, "
        "\"gemm_gflops\": {:.6g}, \"timings\": {{",
        &report == reports.data() ? "" : ",", report.shape, report.precision, report.parameters, report.tile,
        report.gemm);
    for (const Timing& t : report.timings)
      text += fmt::format(
          "{}\n  \"{}\": {{\"seconds\": {:.6g}, \"vectors\": {}, \"multiply_adds_per_sample\": {:.6g}, "
          "\"gflops\": {:.6g}, \"share_of_gemm\": {:.4g}}}",
          &t == report.timings.data() ? "" : ",", t.kind.name, t.seconds, t.kind.vectors,
          multiply_adds(network, t.kind), t.rate, t.rate / report.gemm);
    text += "}";
    if (report.alone)
      text += fmt::format(", \"rank0_alone_seconds\": {:.6g}, \"efficiency\": {:.4g}", *report.alone,
                          *report.alone / report.of(hessian.name).seconds / ranks);
    text += "}";
  }
  return text + "\n]}\n";
}

void run(const Comm& comm, const Settings& settings) {
  set_blas_threads(1);
  if (comm.is_root())
    std::cout << fmt::format("{}, {} rank{}, one thread each\n", blas_description(), comm.size(),
                             comm.size() == 1 ? "" : "s");
  std::vector<Report> reports;
  for (const std::string& shape : settings.shapes)
    for (const std::string& precision : settings.precisions) {
      reports.push_back(precision == "single" ? measure<float>(comm, settings, shape)
                                              : measure<double>(comm, settings, shape));
      if (comm.is_root()) print(reports.back(), settings, comm.size());
      std::cout.flush();
    }
  on_root(comm, [&] {
    if (settings.json.empty()) return;
    std::ofstream file(settings.json);
    file << json(reports, settings, comm.size());
    if (!file.flush()) throw UsageError(fmt::format("--json: cannot write '{}'", settings.json));
  });
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  MPI_Init(&argc, &argv);
  int status = 0;
  {
    const Comm comm(MPI_COMM_WORLD);
    Settings settings;
    CLI::App app{"Times curvature products beside a square GEMM.", "bench_curvature"};
    app.add_option("--shape", settings.shapes, "layer widths, e.g. 784-512-512-10; may be repeated");
    app.add_option("--precision", settings.precisions)->check(CLI::IsMember({"single", "double"}));
    app.add_option("--product", settings.products,
                   "what to measure, by its name in the table; may be repeated")
        ->check(CLI::IsMember({gradient.name, hessian.name, recomputing.name, gauss_newton.name, fisher.name,
                               one_by_one.name, block_product.name}));
    app.add_option("--activation", settings.activation, "of the hidden layers");
    app.add_option("--samples", settings.samples)->check(CLI::PositiveNumber);
    app.add_option("--tile", settings.tile, "samples a tile; 0: automatic")->check(CLI::NonNegativeNumber);
    app.add_option("--vectors", settings.vectors, "vectors of a block")->check(CLI::PositiveNumber);
    app.add_option("--rounds", settings.rounds, "the best of so many counts")->check(CLI::PositiveNumber);
    app.add_option("--seconds", settings.seconds, "least time of a measurement");
    app.add_option("--block-limit", settings.block_limit,
                   "blocks are measured where their vectors one by one take fewer seconds than this");
    app.add_option("--json", settings.json, "also write the figures there");
    try {
      app.parse(argc, argv);
      run(comm, settings);
    } catch (const CLI::ParseError& error) {
      status = error.get_exit_code() == 0 ? 0 : static_cast<int>(ExitCode::usage);
      if (comm.is_root()) app.exit(error);
    } catch (const Error& error) {
      if (comm.is_root()) std::cerr << "bench_curvature: " << error.what() << "\n";
      status = static_cast<int>(error.code());
    }
  }
  MPI_Finalize();
  return status;
}
