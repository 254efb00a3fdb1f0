// Resources as text for people.
#pragma once

#include <string>

#include "client/cli/terminal.h"
#include "trainyard/v1/dataset_service.pb.h"
#include "trainyard/v1/job_service.pb.h"
#include "trainyard/v1/model_service.pb.h"
#include "trainyard/v1/server_service.pb.h"

namespace trainyard::cli {

std::string DatasetText(const v1::Dataset& dataset, const Terminal& terminal);
std::string DatasetsText(const v1::ListDatasetsResponse& list, const Terminal& terminal);
std::string PreviewText(const v1::PreviewDatasetResponse& preview, const Terminal& terminal);

std::string JobText(const v1::Job& job, const Terminal& terminal);
std::string JobsText(const v1::ListJobsResponse& list, const Terminal& terminal);
// `RUNNING`, in the colour of the state.
std::string StateText(v1::Job::State state, const Terminal& terminal);

std::string ModelText(const v1::Model& model, const Terminal& terminal);
std::string ModelsText(const v1::ListModelsResponse& list, const Terminal& terminal);

std::string ServerInfoText(const v1::ServerInfo& info, const Terminal& terminal);
std::string AlgorithmsText(const v1::ListAlgorithmsResponse& list, const Terminal& terminal);
std::string AlgorithmText(const v1::Algorithm& algorithm, const Terminal& terminal);
std::string QueueText(const v1::Queue& queue, const Terminal& terminal);

// The part of a resource name after its last `/`.
std::string IdOf(const std::string& name);

// What to say when a list goes on.
std::string MoreText(const std::string& next_page_token);

}  // namespace trainyard::cli
