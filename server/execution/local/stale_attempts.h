// What attempts of an earlier run of the server left behind: processes, control groups, folders.
#pragma once

#include <filesystem>
#include <string>

#include "server/execution/local/attempt_folder.h"
#include "server/execution/local/control_group.h"

namespace trainyard {

// Value of kAttemptVariable for processes of `attempt`. `store` tells servers with attempts of
// equal names apart.
std::string AttemptMarker(const std::string& attempt, const std::string& store);

// Kills what is left of an attempt whose worker is dead or not known: the group's members, and
// processes with the marker that did not reach the group. Waits up to 5 s each.
void KillLeftovers(const ControlGroup& group, const std::string& marker);

// Kills every process of the attempt that `folder` belongs to, its worker included, and removes its
// control group and the folder. Nothing happens when the folder does not exist.
void RemoveStaleAttempt(const AttemptFolder& folder, const ControlGroupFactory& groups,
                        const std::string& store);

// Does so for every attempt in `work_folder` whose worker is dead; those that live can be adopted.
// Also removes control groups without a folder.
void RemoveStaleAttempts(const std::filesystem::path& work_folder,
                         const ControlGroupFactory& groups, const std::string& store);

}  // namespace trainyard
