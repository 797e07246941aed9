#pragma once

#include <gtest/gtest.h>

#include <concepts>
#include <exception>
#include <string>

namespace dualscape::testing {

/// The message of the `Expected` error that `call` throws; a failure of the test when it throws none or
/// another.
template <class Expected>
std::string error_of(std::invocable auto&& call) {
  try {
    call();
  } catch (const Expected& error) {
    return error.what();
  } catch (const std::exception& other) {
    ADD_FAILURE() << "an error of another type: " << other.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace dualscape::testing
