#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "decks.hpp"

/// Decks as files. Comments in them say how they are read: "# set: key=value" is an override; "# expect: 12:
/// text" is a problem in line 12, "# expect: --set key=value: text" one of an override. A bad deck lists all
/// its problems in order.
namespace dualscape::deck::testing {
namespace {

std::vector<std::filesystem::path> decks(const char* folder) {
  std::vector<std::filesystem::path> all;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(DUALSCAPE_DECKS) / folder))
    all.push_back(entry.path());
  std::ranges::sort(all);
  return all;
}

std::string name_of_test(const ::testing::TestParamInfo<std::filesystem::path>& info) {
  auto name = info.param.stem().string();
  std::ranges::replace(name, '-', '_');
  return name;
}

struct DeckFile {
  explicit DeckFile(const std::filesystem::path& path) : name(path.filename().string()) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    for (std::string line; std::getline(file, line); text += line + "\n") {
      if (line.starts_with("# set: ")) overrides.push_back(line.substr(7));
      if (line.starts_with("# expect: --"))
        expected.push_back(line.substr(10));
      else if (line.starts_with("# expect: "))
        expected.push_back(name + ":" + line.substr(10));
    }
  }

  std::string name;
  std::string text;
  std::vector<std::string> overrides;
  std::vector<std::string> expected;
};

class GoodDeck : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(GoodDeck, IsReadAndResolves) {
  const DeckFile file(GetParam());
  const auto config = read_deck(file.text, file.name, file.overrides);
  const auto resolved = resolved_deck(config);
  const auto again = read_deck(resolved, "deck.resolved");
  EXPECT_EQ(again, config);
  EXPECT_EQ(resolved_deck(again), resolved);
}

INSTANTIATE_TEST_SUITE_P(Decks, GoodDeck, ::testing::ValuesIn(decks("good")), name_of_test);

class BadDeck : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(BadDeck, HasTheProblemsItLists) {
  const DeckFile file(GetParam());
  ASSERT_FALSE(file.expected.empty()) << "a bad deck says what is wrong with it";
  try {
    read_deck(file.text, file.name, file.overrides);
    FAIL() << "the deck was read";
  } catch (const DeckError& error) {
    std::vector<std::string> found;
    for (const auto& problem : error.problems()) found.push_back(problem.message());
    EXPECT_EQ(found, file.expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Decks, BadDeck, ::testing::ValuesIn(decks("bad")), name_of_test);

}  // namespace
}  // namespace dualscape::deck::testing
