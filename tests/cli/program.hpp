// SPDX-License-Identifier: MIT
// Runs the program ecco as a shell would, and says what became of it.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/safetensors_files.hpp"

namespace ecco::test {

inline const std::string kModelFile = ECCO_TEST_DATA "/model/model.safetensors";
inline const std::string kModelDirectory = ECCO_TEST_DATA "/model";

struct Outcome {
  int exit_code = -1;  ///< -1: ended by a signal
  std::string out;
  std::string err;
};

/// Where the standard output of a run goes; in the last case standard error is closed.
enum class Output { captured, full, closed, errors_closed };

/// Runs `ecco ARGUMENTS...` with the additional environment ("NAME=value").
Outcome run_ecco(const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment = {},
                 Output output = Output::captured);

/// The same with a terminal of 80 columns as standard error; `err` is what it received.
Outcome run_ecco_on_terminal(const std::vector<std::string>& arguments);

/// Starts it with output and errors thrown away; the exit code comes from wait_for.
pid_t start_ecco(const std::vector<std::string>& arguments);
int wait_for(pid_t process);

/// The run succeeded and printed nothing on standard error.
void expect_success(const Outcome& outcome);

/// The run printed nothing on standard output, and on standard error one line "ecco: ..." with
/// `reason` in it.
void expect_error(const Outcome& outcome, int exit_code, const std::string& reason);

/// Standard output of a successful run as JSON: one document, one line.
nlohmann::json json_of(const Outcome& outcome);

/// Keys of an object, as `{"a", "b"}` sorted.
std::vector<std::string> keys_of(const nlohmann::json& object);

/// The small model of these tests: w (F16, 4 x 256), v (BF16, 2 x 3 x 130), u (F32, 3 x 384),
/// bias (F32, 128), ids (I64, 2 x 2).
Bytes small_model();

/// A file as text.
std::string read_text(const std::string& path);

/// "w0", "w1", ... [GCC 12 warns wrongly about "w" + std::to_string(index).]
std::string numbered(unsigned index);

}  // namespace ecco::test
