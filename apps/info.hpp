#pragma once

#include <filesystem>
#include <string>

/// What a result file holds, in one screen of text. Throws DataError when it is no result file this program
/// knows.
std::string info_text(const std::filesystem::path& path);
