#include "dualscape/h5/format.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace dualscape::h5::format {
namespace {

std::vector<Entry> all_entries() {
  std::vector<Entry> all(entries().begin(), entries().end());
  all.insert(all.end(), study_entries().begin(), study_entries().end());
  return all;
}

TEST(Format, FindsDatasetsByPattern) {
  const Entry* weight = find("model/dense1/weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->path, "model/<layer>/weight");
  EXPECT_EQ(weight->units, "weight");
  EXPECT_EQ(rank_of(*weight), 2);
  ASSERT_NE(find("spectrum/dense1+bias/eigenvalues"), nullptr);
  EXPECT_EQ(rank_of(*find("spectrum/dense1+bias/eigenvalues")), 1);
  EXPECT_EQ(rank_of(*find("deck/original")), 0);
  ASSERT_NE(find("model/dense1"), nullptr);
  EXPECT_EQ(find("model/dense1")->type, Type::group);
}

TEST(Format, KnowsNothingElse) {
  for (const char* path : {"", "weight", "model/dense1/weights", "models/dense1/weight", "model/a/b/weight",
                           "model//weight", "model/dense1/weight/", "data/train_index/x", "loss@gap"})
    EXPECT_EQ(find(path), nullptr) << path;
  EXPECT_EQ(find_attribute("/", "gap"), nullptr);
  EXPECT_EQ(find_attribute("loss", "seed"), nullptr);
  EXPECT_EQ(find_attribute("duality", "real_gap"), nullptr);
}

TEST(Format, FindsAttributes) {
  ASSERT_NE(find_attribute("/", "seed"), nullptr);
  EXPECT_EQ(find_attribute("/", "seed")->path, "@seed");
  ASSERT_NE(find_attribute("loss", "gap"), nullptr);
  ASSERT_NE(find_attribute("duality/dense2", "real_gap"), nullptr);
  EXPECT_EQ(find_attribute("duality/dense2", "real_gap")->path, "duality/<layer>@real_gap");
}

TEST(Format, MakesTheEntriesOfAStudyOfThoseOfAResult) {
  const Entry* gap = find("scalars/loss/gap");
  ASSERT_NE(gap, nullptr);
  EXPECT_EQ(gap->path, "scalars/loss/gap");
  EXPECT_EQ(gap->shape, "R");
  EXPECT_EQ(gap->units, "loss");
  EXPECT_EQ(gap->description, find_attribute("loss", "gap")->description);
  EXPECT_EQ(find("scalars/duality/dense2/dropped_pairs")->type, Type::real);
  EXPECT_EQ(find("scalars/duality/dense2/dropped_pairs"), find("scalars/duality/dense1/dropped_pairs"));
  EXPECT_EQ(find("scalars/duality/dense2/pairing"), nullptr);
  EXPECT_EQ(find("scalars/loss/gain"), nullptr);
  EXPECT_EQ(find("scalars/gap"), nullptr);

  const Entry* sigma = find("arrays/duality/dense2/directions/sigma_g");
  ASSERT_NE(sigma, nullptr);
  EXPECT_EQ(sigma->shape, "R x m");
  EXPECT_EQ(sigma->type, Type::real);
  EXPECT_EQ(find("arrays/duality/dense2/directions/sharp")->type, Type::integer);
  EXPECT_EQ(find("arrays/duality/dense2/pairs/distance"), nullptr);
  EXPECT_EQ(find("arrays/model/dense2/weight"), nullptr);
}

TEST(Format, HasWholeEntries) {
  std::set<std::string_view> paths;
  for (const Entry& entry : all_entries()) {
    EXPECT_TRUE(paths.insert(entry.path).second) << entry.path << " is there twice";
    EXPECT_FALSE(entry.description.empty()) << entry.path;
    const bool number = entry.type != Type::group && entry.type != Type::text;
    EXPECT_EQ(entry.units.empty(), !number) << entry.path;
    EXPECT_EQ(entry.path.ends_with('/'), entry.type == Type::group) << entry.path;
  }
}

TEST(Format, NamesEveryGroupOnTheWay) {
  for (const Entry& entry : all_entries()) {
    std::string path(entry.path);
    if (path.ends_with('/')) path.pop_back();
    for (std::size_t cut = path.find_first_of("/@"); cut != std::string::npos;
         cut = path.find_first_of("/@", cut + 1)) {
      const std::string holder = path.substr(0, cut);
      EXPECT_TRUE(holder.empty() || find(holder) != nullptr) << holder << " of " << path;
    }
  }
}

// The page is generated: run this test, then copy the file it names.
TEST(Format, PageIsUpToDate) {
  std::ifstream file(FORMAT_PAGE, std::ios::binary);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  const std::string generated = format_markdown();
  if (page == generated) return;
  const auto copy = std::filesystem::absolute("FORMAT.md");  // of this build
  std::ofstream(copy, std::ios::binary) << generated;
  FAIL() << "the page does not follow from the table: cp " << copy.string() << " " << FORMAT_PAGE;
}

}  // namespace
}  // namespace dualscape::h5::format
