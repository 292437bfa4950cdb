// From a solution of the joint relaxation to what a search can use (planner/joint_guide.h). Where
// the relaxation evicts a part of buffers that it takes for one, those used latest go first.
#pragma once

#include <vector>

#include "planner/joint_guide.h"
#include "planner/joint_lp.h"
#include "planner/joint_windows.h"

namespace stint {

/// `values` by column of `lp.program`. O(arguments + columns).
JointGuide GuideOf(const JointProgram& joint, const JointLp& lp, const std::vector<double>& values);

}  // namespace stint
