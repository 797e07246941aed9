#include "dualscape/h5/output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <iterator>
#include <optional>

#include "dualscape/base/error.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/h5/seal.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"

namespace dualscape::h5 {
namespace {

using ::dualscape::testing::error_of;
using ::testing::ElementsAre;

using Reals = std::vector<double>;
using Integers = std::vector<std::int64_t>;

/// No file of this process may grow beyond `bytes` while this lives: every way of writing more then fails.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFileTest() : comm_(MPI_COMM_WORLD), folder_(comm_), path_(folder_ / "result.h5") {}

  OutputFile result() const { return OutputFile(comm_, path_, format::result_filetype); }
  /// A file with one value, for tests of what follows it.
  void write_small(double value) const {
    OutputFile out = result();
    out.add("training/loss", Reals{value}, {1});
    out.commit();
  }
  bool part_is_gone() const {
    comm_.barrier();
    return !std::filesystem::exists(path_.string() + ".part");
  }

  Comm comm_;
  dualscape::testing::TemporaryFolder folder_;
  std::filesystem::path path_;
};

TEST_F(OutputFileTest, KeepsEveryKindOfValue) {
  OutputFile out = result();
  out.add("model/dense1/weight", Reals{1, 2, 3, 4, 5, 6}, {2, 3});
  out.add("data/train_index", Integers{7, 8, Index{1} << 40}, {3});
  out.add("data/test_index", std::vector<std::int32_t>{-1, 5}, {2});
  out.add("data/label_correct", std::vector<std::uint8_t>{1, 0, 1}, {3});
  out.add("deck/original", "title = \"na\xC3\xAFve\"\n");
  out.add("deck/resolved", "");
  out.add("training/loss", Reals{}, {0});
  out.attribute("/", "library_versions", std::vector<std::string>{"MPI 3.1", ""});
  out.attribute("/", "git_dirty", true);
  out.attribute("/", "title", "a title");
  out.attribute("data", "classes", Integers{3, 5});
  out.attribute("loss", "gap", 0.25);
  out.attribute("spectrum/dense1+bias", "requested", 50);
  out.commit();

  EXPECT_TRUE(part_is_gone());
  const InputFile file(path_);
  EXPECT_THAT(file.read_doubles("model/dense1/weight"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(file.shape("model/dense1/weight"), ElementsAre(2, 3));
  EXPECT_THAT(file.read_integers("data/train_index"), ElementsAre(7, 8, Index{1} << 40));
  EXPECT_THAT(file.read_integers("data/test_index"), ElementsAre(-1, 5));
  EXPECT_EQ(file.element_type("data/label_correct"), ElementType::byte);
  EXPECT_THAT(file.read_integers("data/label_correct"), ElementsAre(1, 0, 1));
  EXPECT_EQ(file.read_text("deck/original"), "title = \"na\xC3\xAFve\"\n");
  EXPECT_EQ(file.read_text("deck/resolved"), "");
  EXPECT_THAT(file.shape("training/loss"), ElementsAre(0));
  EXPECT_THAT(file.attribute_texts("/", "library_versions"), ElementsAre("MPI 3.1", ""));
  EXPECT_EQ(file.attribute_integer("/", "git_dirty"), 1);
  EXPECT_EQ(file.attribute_text("/", "title"), "a title");
  EXPECT_THAT(file.attribute_integers("data", "classes"), ElementsAre(3, 5));
  EXPECT_EQ(file.attribute_real("loss", "gap"), 0.25);
  EXPECT_EQ(file.attribute_integer("spectrum/dense1+bias", "requested"), 50);
}

TEST_F(OutputFileTest, ASealShowsEveryChangedByteAndEveryMissingOne) {
  OutputFile out(comm_, path_, format::checkpoint_filetype);
  out.add("training/loss", Reals{1, 2, 3}, {3});
  out.add_rows("model/dense1/weight", 2, 3,
               [&](Index, Index, Matrix<double>& block) { std::ranges::fill(block.entries(), 0.5); });
  out.commit(Durability::flushed, true);
  EXPECT_NO_THROW(require_intact(path_));
  EXPECT_THAT(InputFile(path_).read_doubles("training/loss"), ElementsAre(1, 2, 3)) << "HDF5 does not mind";
  comm_.barrier();
  if (!comm_.is_root()) return;

  const std::string whole = contents(path_);
  const auto store = [&](const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; };
  for (std::size_t at = 0; at < whole.size(); at += 37) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    store(flipped);
    EXPECT_THROW(require_intact(path_), DataError) << "byte " << at << " of " << whole.size();
  }
  for (const std::size_t length : {whole.size() - 1, whole.size() / 2, std::size_t{10}, std::size_t{0}}) {
    store(whole.substr(0, length));
    EXPECT_EQ(error_of<DataError>([&] { require_intact(path_); }),
              "'" + path_.string() + "' is damaged: it is cut short or does not end with its checksum");
  }
  store(whole + "more");
  EXPECT_THROW(require_intact(path_), DataError);
}

TEST_F(OutputFileTest, DescribesItself) {
  write_small(1.0);
  const InputFile file(path_);
  EXPECT_EQ(file.attribute_text("/", "filetype"), "dualscape-result");
  EXPECT_THAT(file.attribute_integers("/", "version"), ElementsAre(1, 0));
  EXPECT_NO_THROW(file.expect_filetype("dualscape-result", 1));
  EXPECT_EQ(error_of<DataError>([&] { file.expect_filetype("dualscape-result", 2); }),
            "'" + path_.string() + "' has version 1.0; this program reads 2.x");
  EXPECT_EQ(error_of<DataError>([&] { file.expect_filetype("dualscape-checkpoint", 1); }),
            "'" + path_.string() + "' has filetype dualscape-result; expected dualscape-checkpoint");
  EXPECT_EQ(file.attribute_text("training/loss", "units"), "loss");
  EXPECT_EQ(file.attribute_text("training/loss", "description"), format::find("training/loss")->description);
}

TEST_F(OutputFileTest, CollectsRowsFromTheRanks) {
  // A row of 8 MB: blocks of two rows, the last one shorter. Row i is made by rank i % ranks.
  constexpr Index rows = 5;
  constexpr Index cols = 1 << 20;
  OutputFile out = result();
  out.add_rows("model/dense1/weight", rows, cols, [&](Index first, Index count, Matrix<double>& block) {
    EXPECT_EQ(block.rows(), comm_.is_root() ? count : 0);
    for (Index i = 0; i < count; ++i) {
      std::vector<double> row(cols);
      const int owner = static_cast<int>((first + i) % comm_.size());
      if (comm_.rank() == owner)
        for (Index j = 0; j < cols; ++j)
          row[static_cast<std::size_t>(j)] = static_cast<double>((first + i) * cols + j);
      comm_.broadcast(std::span<double>(row), owner);
      if (comm_.is_root()) std::ranges::copy(row, block.row(i).begin());
    }
  });
  out.add("model/dense1/bias", comm_.is_root() ? Reals{1, 2, 3, 4, 5} : Reals{}, {rows});
  out.commit();

  const InputFile file(path_);
  const auto values = file.read_doubles("model/dense1/weight");
  Index wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i) wrong += values[i] != static_cast<double>(i) ? 1 : 0;
  EXPECT_EQ(values.size(), static_cast<std::size_t>(rows * cols));
  EXPECT_EQ(wrong, 0);
  EXPECT_THAT(file.read_doubles("model/dense1/bias"), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(OutputFileTest, SameContentsGiveTheSameBytes) {
  write_small(1.0);
  const std::string first = contents(path_);
  comm_.barrier();
  write_small(1.0);
  EXPECT_EQ(contents(path_), first);
  comm_.barrier();
  write_small(2.0);
  EXPECT_NE(contents(path_), first);
}

TEST_F(OutputFileTest, RefusesWhatTheTableDoesNotKnow) {
  OutputFile out = result();
  EXPECT_EQ(error_of<std::logic_error>([&] { out.add("model/dense1/mass", Reals{1}, {1}); }),
            "not in the format table: model/dense1/mass");
  EXPECT_EQ(error_of<std::logic_error>([&] { out.add("training/loss", Integers{1}, {1}); }),
            "not of the type in the format table: training/loss");
  EXPECT_EQ(error_of<std::logic_error>([&] {
              out.add("training/loss", Reals{1}, {1, 1});
            }),
            "not of the shape in the format table: training/loss");
  EXPECT_EQ(error_of<std::logic_error>([&] { out.attribute("loss", "loss", 1.0); }),
            "not in the format table: loss@loss");
  EXPECT_EQ(error_of<std::logic_error>([&] { out.attribute("loss", "gap", 1); }),
            "not of the type in the format table: loss@gap");
  EXPECT_EQ(error_of<std::logic_error>([&] { out.attribute("/", "version", 1); }),
            "not of the shape in the format table: /@version");
  out.add("training/loss", Reals{1}, {1});
  EXPECT_EQ(error_of<std::logic_error>([&] { out.add("training/loss", Reals{1}, {1}); }),
            "added twice: training/loss");
}

TEST_F(OutputFileTest, RefusesValuesThatDoNotFillTheShape) {
  OutputFile out = result();
  out.add("training/loss", Reals{1, 2}, {3});
  EXPECT_EQ(error_of<ComputationError>([&] { out.commit(); }),
            "number of values and shape differ: training/loss");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(OutputFileTest, FailsOnEveryRankWhenTheSpaceIsShort) {
  write_small(1.0);
  const std::string before = contents(path_);
  comm_.barrier();
  {
    OutputFile out = result();
    out.add("training/loss", Reals(1 << 20, 1.0), {1 << 20});
    const FileSizeLimit limit(4 << 20);
    EXPECT_EQ(error_of<ComputationError>([&] { out.commit(); }),
              "cannot write '" + path_.string() + "': File too large");
  }
  EXPECT_TRUE(part_is_gone());
  EXPECT_EQ(contents(path_), before);
}

TEST_F(OutputFileTest, FailsOnEveryRankWhenSpaceVanishesWhileWriting) {
  write_small(1.0);
  const std::string before = contents(path_);
  comm_.barrier();
  {
    std::optional<FileSizeLimit> limit;
    OutputFile out = result();
    out.add_rows("model/dense1/weight", 4, 1 << 20, [&](Index first, Index, Matrix<double>&) {
      if (first > 0) limit.emplace(12 << 20);
    });
    EXPECT_EQ(error_of<ComputationError>([&] { out.commit(); }),
              "cannot write '" + path_.string() + "': File too large");
  }
  EXPECT_TRUE(part_is_gone());
  EXPECT_EQ(contents(path_), before);
}

TEST_F(OutputFileTest, PassesOnTheFailureOfAProvider) {
  OutputFile out = result();
  out.add_rows("model/dense1/weight", 1, 1,
               [&](Index, Index, Matrix<double>&) { throw ComputationError("no rows today"); });
  EXPECT_EQ(error_of<ComputationError>([&] { out.commit(); }), "no rows today");
  EXPECT_TRUE(part_is_gone());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(OutputFileTest, FailsOnEveryRankWithoutAFolder) {
  const auto nowhere = folder_ / "no/such/result.h5";
  OutputFile out(comm_, nowhere, format::result_filetype);
  EXPECT_EQ(error_of<ComputationError>([&] { out.commit(); }),
            "cannot write '" + nowhere.string() + "': No such file or directory");
}

TEST_F(OutputFileTest, FailsOnEveryRankWhereNothingCanBeWritten) {
  // /proc refuses new files even to root.
  OutputFile out(comm_, "/proc/result.h5", format::result_filetype);
  EXPECT_EQ(error_of<ComputationError>([&] { out.commit(); }),
            "cannot write '/proc/result.h5': No such file or directory");
}

TEST_F(OutputFileTest, DoesNotReplaceAFolder) {
  if (comm_.is_root()) std::filesystem::create_directories(path_ / "inner");
  comm_.barrier();
  OutputFile out = result();
  EXPECT_EQ(error_of<ComputationError>([&] { out.commit(); }),
            "cannot write '" + path_.string() + "': Is a directory");
  EXPECT_TRUE(part_is_gone());
}

}  // namespace
}  // namespace dualscape::h5
