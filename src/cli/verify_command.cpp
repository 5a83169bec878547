// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"
#include "cli/threads.hpp"

namespace ecco::cli {
namespace {

/// What was found; `tensors` is empty when the header is corrupt, and so is the name of the one
/// defect.
struct Findings {
  std::optional<std::size_t> tensors;
  std::vector<Defect> defects;
  std::map<std::string, h4::Statistics> h4 = {};  ///< of the h4 tensors
};

/// Error: whatever kept the file from being read.
Result<Findings> inspect(const VerifyArguments& arguments) {
  const Result<Model> model = Model::open(arguments.file);
  if (!model && model.error().code() == StatusCode::corrupt) {
    return Findings{std::nullopt, {{"", model.error().message()}}};
  }
  if (!model) return fail(model.error());
  if (!model->compressed()) {
    return fail(StatusCode::invalid_argument,
                fmt::format("{}: ecco did not compress this, so it holds no checksums to verify",
                            arguments.file));
  }
  const Threads threads(arguments.threads);
  ProgressBar bar("verifying");
  Result<Verification> found = verify_model(arguments.file, threads.parallel(), bar.callback());
  if (!found) return fail(explain_interrupt(found.error(), "not all was verified"));
  return Findings{model->tensors().size(), std::move(found->defects), std::move(found->h4)};
}

void add_statistics(Json& json, const h4::Statistics* statistics) {
  const bool known = statistics != nullptr;
  json["clipped_share"] = known ? Json(statistics->clipped_share()) : Json();
  json["outlier_share"] = known ? Json(statistics->outlier_share()) : Json();
  json["mean_code_length"] = known ? Json(statistics->mean_code_length()) : Json();
}

std::string json_findings(const std::string& file, const Findings& findings) {
  Json json;
  json["intact"] = findings.defects.empty();
  json["file"] = file;
  json["tensors"] = findings.tensors ? Json(*findings.tensors) : Json();
  json["defects"] = Json::array();
  for (const Defect& defect : findings.defects) {
    Json entry;
    entry["tensor"] = findings.tensors ? Json(defect.tensor) : Json();
    entry["reason"] = defect.reason;
    json["defects"].push_back(std::move(entry));
  }
  h4::Statistics sum;
  Json tensors = Json::array();
  for (const auto& [name, statistics] : findings.h4) {
    sum += statistics;
    Json entry;
    entry["name"] = name;
    add_statistics(entry, &statistics);
    tensors.push_back(std::move(entry));
  }
  add_statistics(json, findings.h4.empty() ? nullptr : &sum);
  json["h4"] = std::move(tensors);
  return to_line(json);
}

std::string list_findings(const std::string& file, const Findings& findings) {
  if (findings.defects.empty()) {
    return fmt::format("{}: intact, {}\n", printable(file),
                       format_number_of(*findings.tensors, "tensor"));
  }
  std::string out;
  if (!findings.tensors) return out;  // the error line says it all
  for (const Defect& defect : findings.defects) {
    out += fmt::format("{}: {}\n", printable(defect.tensor), printable(defect.reason));
  }
  return out;
}

Status verdict(const std::string& file, const Findings& findings) {
  if (findings.defects.empty()) return {};
  if (!findings.tensors) return {StatusCode::corrupt, findings.defects.front().reason};
  std::set<std::string> names;
  for (const Defect& defect : findings.defects) names.insert(defect.tensor);
  return {StatusCode::corrupt,
          fmt::format("{}: not intact: {} in {} of {}; restore it from a copy or compress anew",
                      file, format_number_of(findings.defects.size(), "defect"), names.size(),
                      format_number_of(*findings.tensors, "tensor"))};
}

}  // namespace

Status run(const VerifyArguments& arguments) {
  const Result<Findings> findings = inspect(arguments);
  if (!findings) return findings.error();
  if (Status status = write_output(arguments.json ? json_findings(arguments.file, *findings)
                                                  : list_findings(arguments.file, *findings));
      !status) {
    return status;
  }
  return verdict(arguments.file, *findings);
}

}  // namespace ecco::cli
