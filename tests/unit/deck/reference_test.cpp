#include "dualscape/deck/reference.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "dualscape/deck/schema.hpp"

namespace dualscape::deck {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void expect_help(const Description& description) {
  for (const auto& child : description.children) {
    EXPECT_FALSE(child.help.empty()) << child.name;
    expect_help(child);
  }
}

TEST(Schema, ExplainsEveryKey) {
  expect_help(schema().description());
}

TEST(ReferenceMarkdown, IsTheCommittedPage) {
  EXPECT_EQ(contents(DUALSCAPE_INPUTS "/REFERENCE.md"), reference_markdown())
      << "the schema has changed: dualscape schema --format md > inputs/REFERENCE.md";
}

TEST(ReferenceJson, IsReadByPython) {
  const auto folder = std::filesystem::temp_directory_path() / "dualscape_reference_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "reference.json") << reference_json();
  std::ofstream(folder / "check.py") << R"(
import json, sys
tables = {table["name"]: table for table in json.load(open(sys.argv[1]))["tables"]}
assert list(tables) == ["", "data", "network", "network.layers", "training", "spectrum", "duality", "numerics",
                        "output", "study", "study.axes"], list(tables)
keys = {key["key"]: key for key in tables["training"]["keys"]}
assert keys["batch_size"]["default"] == "25" and keys["batch_size"]["allowed"] == ">= 1"
assert [choice["name"] for choice in keys["weight_decay.kind"]["choices"]] == ["none", "norm", "l2"]
title = tables[""]["keys"][0]
assert title["default"] == '""' and not title["required"]
units = {key["key"]: key for key in tables["network.layers"]["keys"]}["units"]
assert units["default"] is None and units["required"]
assert tables["duality"]["optional"] and not tables["data"]["optional"]
)";
  const auto command = std::string(DUALSCAPE_PYTHON) + " " + (folder / "check.py").string() + " " +
                       (folder / "reference.json").string();
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace dualscape::deck
