#include "core/algorithms/hierarchical_shrinkage/resolve_learner.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "proto/schema/field_rules.h"
#include "proto/schema/resource_names.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;
using Cart = v1::CartOptions;
using Forest = v1::ForestOptions;
using Boosting = v1::BoostingOptions;

// Forests of fewer trees predict too few rows out of bag for them to choose by.
constexpr int kLeastTreesForOob = 20;

class LearnerResolver {
 public:
  LearnerResolver(const v1::TableSchema& schema, const TableColumns& columns, std::string_view path,
                  Spec& spec, Violations& violations)
      : schema_(schema), columns_(columns), path_(path), spec_(spec), violations_(violations) {}

  void Run() {
    if (spec_.has_boosting()) {
      ResolveBoosting();
    } else if (spec_.learner_case() == Spec::kBaseModel) {
      CheckBaseModel();
    } else {
      ResolveCart();
    }
    if (spec_.has_forest()) ResolveForest();
    if (spec_.has_figs()) CheckFigs();
    ResolveSelection();
    CheckLambdaPerTree();
    CheckTuning();
    CheckStability();
  }

 private:
  void Add(absl::string_view field, const std::string& problem) {
    violations_.Add(absl::StrCat(absl::string_view(path_.data(), path_.size()), ".", field),
                    problem);
  }

  bool classification() const { return spec_.task() == Spec::TASK_CLASSIFICATION; }
  absl::string_view task_name() const {
    return classification() ? "TASK_CLASSIFICATION" : "TASK_REGRESSION";
  }

  // `cart` where it has no meaning must be as FillDefaults leaves it.
  void RefuseCart(absl::string_view learner) {
    if (!spec_.has_cart()) return;
    Cart defaults;
    FillDefaults(defaults);
    Cart given = spec_.cart();
    FillDefaults(given);
    if (google::protobuf::util::MessageDifferencer::Equals(defaults, given)) return;
    Add("cart", absl::StrCat("has options that do not apply to ", learner, "; leave it out"));
  }

  void ResolveCart() {
    Cart& cart = *spec_.mutable_cart();
    if (spec_.has_figs()) {
      if (cart.criterion() == Cart::CRITERION_UNSPECIFIED) {
        cart.set_criterion(Cart::CRITERION_SQUARED_ERROR);
      }
    } else {
      ResolveCriterion(cart);
    }
    if (cart.pruning_confidence() > 0 && !classification()) {
      Add("cart.pruning_confidence",
          absl::StrCat("is ", cart.pruning_confidence(),
                       ", which is for classification; the task is TASK_REGRESSION"));
    }
    CheckMaxFeatures(cart);
  }

  void ResolveCriterion(Cart& cart) {
    if (cart.criterion() == Cart::CRITERION_UNSPECIFIED) {
      cart.set_criterion(classification() ? Cart::CRITERION_GINI : Cart::CRITERION_SQUARED_ERROR);
    }
    const bool for_regression = cart.criterion() == Cart::CRITERION_SQUARED_ERROR ||
                                cart.criterion() == Cart::CRITERION_POISSON;
    if (classification() != for_regression) return;
    Add("cart.criterion",
        absl::StrCat("is ", Cart::Criterion_Name(cart.criterion()), ", which is for ",
                     classification() ? "regression" : "classification", "; the task is ",
                     task_name()));
  }

  void CheckMaxFeatures(const Cart& cart) {
    const double number = cart.max_features_number();
    const bool count = cart.max_features() == Cart::MAX_FEATURES_COUNT;
    const bool share = cart.max_features() == Cart::MAX_FEATURES_SHARE;
    if (!count && !share) {
      if (!cart.has_max_features_number()) return;
      Add("cart.max_features_number",
          absl::StrCat("is ", number,
                       "; it is for MAX_FEATURES_COUNT and MAX_FEATURES_SHARE only"));
    } else if (!cart.has_max_features_number()) {
      Add("cart.max_features_number",
          absl::StrCat("must be given with ", Cart::MaxFeatures_Name(cart.max_features())));
    } else if (count && (number != std::floor(number) || number < 1)) {
      Add("cart.max_features_number",
          absl::StrCat("is ", number, "; MAX_FEATURES_COUNT needs a whole number, at least 1"));
    } else if (share && number > 1) {
      Add("cart.max_features_number",
          absl::StrCat("is ", number, "; MAX_FEATURES_SHARE needs a share, at most 1"));
    }
  }

  void ResolveForest() {
    Forest& forest = *spec_.mutable_forest();
    if (forest.kind() == Forest::KIND_UNSPECIFIED) forest.set_kind(Forest::KIND_RANDOM_FOREST);
    if (!forest.has_bootstrap()) forest.set_bootstrap(forest.kind() == Forest::KIND_RANDOM_FOREST);
    if (!forest.bootstrap() && forest.max_samples() < 1) {
      Add("forest.max_samples", absl::StrCat("is ", forest.max_samples(), "; it needs bootstrap"));
    }
    const bool weighted = forest.class_weights() == Forest::CLASS_WEIGHTS_BALANCED ||
                          forest.class_weights() == Forest::CLASS_WEIGHTS_BALANCED_PER_TREE;
    if (weighted && !classification()) {
      Add("forest.class_weights",
          absl::StrCat("is ", Forest::ClassWeights_Name(forest.class_weights()),
                       ", which is for classification; the task is TASK_REGRESSION"));
    }
  }

  bool HasOob() const {
    return spec_.has_forest() && spec_.forest().bootstrap() && spec_.forest().oob();
  }

  void CheckFigs() {
    const Cart& cart = spec_.cart();
    const auto refuse = [&](absl::string_view field, const std::string& value) {
      Add(absl::StrCat("cart.", field), absl::StrCat("is ", value, "; figs has no such option"));
    };
    if (cart.criterion() != Cart::CRITERION_SQUARED_ERROR) {
      refuse("criterion", Cart::Criterion_Name(cart.criterion()));
    }
    if (cart.max_leaf_nodes() > 0) refuse("max_leaf_nodes", absl::StrCat(cart.max_leaf_nodes()));
    if (cart.ccp_alpha() > 0) refuse("ccp_alpha", absl::StrCat(cart.ccp_alpha()));
    if (cart.pruning_confidence() > 0 && classification()) {
      refuse("pruning_confidence", absl::StrCat(cart.pruning_confidence()));
    }
    if (cart.max_features() != Cart::MAX_FEATURES_UNSPECIFIED &&
        cart.max_features() != Cart::MAX_FEATURES_ALL) {
      refuse("max_features", Cart::MaxFeatures_Name(cart.max_features()));
    }
  }

  void ResolveBoosting() {
    RefuseCart("boosting");
    Boosting& boosting = *spec_.mutable_boosting();
    if (boosting.shrinkage_mode() == Boosting::SHRINKAGE_MODE_UNSPECIFIED) {
      boosting.set_shrinkage_mode(Boosting::SHRINKAGE_MODE_POST_HOC);
    }
    if (columns_.targets.size() > 1) {
      Add("input.target_columns",
          absl::StrCat("names ", columns_.targets.size(), " columns; boosting has one target"));
    }
    ResolveLoss(boosting);
    if (boosting.early_stopping_rounds() > 0 &&
        !(spec_.input().split().validation_fraction() > 0)) {
      Add("boosting.early_stopping_rounds",
          absl::StrCat("is ", boosting.early_stopping_rounds(),
                       "; it needs validation rows (input.split.validation_fraction > 0)"));
    }
    if (boosting.has_huber_delta() && boosting.loss() != Boosting::LOSS_HUBER) {
      Add("boosting.huber_delta",
          absl::StrCat("is ", boosting.huber_delta(), "; it is for LOSS_HUBER only"));
    }
    CheckMonotone(boosting);
  }

  void ResolveLoss(Boosting& boosting) {
    int64_t classes = 0;
    if (classification() && !columns_.targets.empty()) {
      classes = schema_.columns(columns_.targets.front()).distinct_count();
    }
    if (boosting.loss() == Boosting::LOSS_UNSPECIFIED) {
      boosting.set_loss(!classification() ? Boosting::LOSS_SQUARED_ERROR
                        : classes == 2    ? Boosting::LOSS_LOGISTIC
                                          : Boosting::LOSS_SOFTMAX);
    }
    const bool for_classes =
        boosting.loss() == Boosting::LOSS_LOGISTIC || boosting.loss() == Boosting::LOSS_SOFTMAX;
    const std::string loss = Boosting::Loss_Name(boosting.loss());
    if (for_classes != classification()) {
      Add("boosting.loss", absl::StrCat("is ", loss, ", which is for ",
                                        for_classes ? "classification" : "regression",
                                        "; the task is ", task_name()));
    } else if (boosting.loss() == Boosting::LOSS_LOGISTIC && classes > 2) {
      Add("boosting.loss", absl::StrCat("is ", loss, ", which is for two classes; the target has ",
                                        classes, " distinct values"));
    }
    if (boosting.loss() == Boosting::LOSS_POISSON && !columns_.targets.empty()) {
      const v1::ColumnSchema& target = schema_.columns(columns_.targets.front());
      if (target.has_minimum() && target.minimum() < 0) {
        Add("boosting.loss",
            absl::StrCat("is ", loss, ", but the target \"", target.name(), "\" has the value ",
                         target.minimum(), "; it needs targets >= 0"));
      }
    }
  }

  void CheckMonotone(const Boosting& boosting) {
    std::set<std::string> seen;
    for (int i = 0; i < boosting.monotone_constraints_size(); ++i) {
      const v1::MonotoneConstraint& constraint = boosting.monotone_constraints(i);
      const std::string field = absl::StrCat("boosting.monotone_constraints[", i, "].feature");
      const std::string quoted = absl::StrCat("is \"", constraint.feature(), "\"");
      if (!seen.insert(constraint.feature()).second) {
        Add(field, absl::StrCat(quoted, ", which is named twice"));
      }
      const auto column = std::find_if(
          columns_.features.begin(), columns_.features.end(),
          [&](int index) { return schema_.columns(index).name() == constraint.feature(); });
      if (column == columns_.features.end()) {
        Add(field, absl::StrCat(quoted, ", which is no feature"));
      } else if (schema_.columns(*column).type() == v1::COLUMN_TYPE_CATEGORICAL) {
        Add(field, absl::StrCat(quoted, ", a column of categories; it must be numeric"));
      }
    }
    if (boosting.loss() == Boosting::LOSS_SOFTMAX && boosting.monotone_constraints_size() > 0) {
      Add("boosting.monotone_constraints", "are given; LOSS_SOFTMAX allows none");
    }
  }

  void CheckBaseModel() {
    RefuseCart("base_model");
    const absl::Status status = ModelName::Parse(spec_.base_model()).status();
    if (!status.ok()) Add("base_model", std::string(status.message()));
  }

  void ResolveSelection() {
    const bool none =
        spec_.has_boosting() && spec_.boosting().shrinkage_mode() == Boosting::SHRINKAGE_MODE_NONE;
    if (none) {
      if (spec_.lambda() > 0) {
        Add("lambda", absl::StrCat("is ", spec_.lambda(),
                                   "; with SHRINKAGE_MODE_NONE it must be 0 or not given"));
      } else {
        spec_.set_lambda(0);
      }
    }
    if (spec_.selection() == Spec::SELECTION_UNSPECIFIED) spec_.set_selection(DefaultSelection());
    const std::string name = Spec::Selection_Name(spec_.selection());
    if (spec_.selection() == Spec::SELECTION_GIVEN && !spec_.has_lambda()) {
      Add("lambda", "must be given with SELECTION_GIVEN");
    }
    if (spec_.selection() != Spec::SELECTION_GIVEN && spec_.has_lambda()) {
      Add("selection", absl::StrCat("is ", name, ", but lambda is given"));
    }
    if (spec_.selection() == Spec::SELECTION_OOB && !HasOob()) {
      Add("selection", absl::StrCat("is ", name, ", which needs a forest with bootstrap and oob"));
    }
  }

  Spec::Selection DefaultSelection() const {
    if (spec_.has_lambda()) return Spec::SELECTION_GIVEN;
    if (!HasOob()) return Spec::SELECTION_CROSS_VALIDATION;
    const bool oob = spec_.lambda_per_tree() ||
                     (classification() && spec_.forest().tree_count() >= kLeastTreesForOob);
    return oob ? Spec::SELECTION_OOB : Spec::SELECTION_CROSS_VALIDATION;
  }

  void CheckLambdaPerTree() {
    if (!spec_.lambda_per_tree() || spec_.selection() == Spec::SELECTION_OOB) return;
    Add("lambda_per_tree", absl::StrCat("is true, which needs SELECTION_OOB; selection is ",
                                        Spec::Selection_Name(spec_.selection())));
  }

  void CheckTuning() {
    if (!spec_.tune_ccp_alpha()) return;
    if (spec_.learner_case() != Spec::LEARNER_NOT_SET) {
      Add("tune_ccp_alpha", "is true, which is for one tree only");
    }
    if (spec_.cart().ccp_alpha() > 0) {
      Add("tune_ccp_alpha",
          absl::StrCat("is true, but cart.ccp_alpha is given as ", spec_.cart().ccp_alpha()));
    }
  }

  void CheckStability() {
    const int refits = spec_.stability().refits();
    if (refits == 1) Add("stability.refits", "is 1; it must be 0 or at least 2");
    if (refits > 0 && spec_.learner_case() == Spec::kBaseModel) {
      Add("stability.refits", absl::StrCat("is ", refits, "; base_model is not fitted again"));
    }
    if (refits > 0 && spec_.lambda_per_tree()) {
      Add("stability.refits", absl::StrCat("is ", refits, "; lambda_per_tree must be false then"));
    }
  }

  const v1::TableSchema& schema_;
  const TableColumns& columns_;
  const std::string_view path_;
  Spec& spec_;
  Violations& violations_;
};

}  // namespace

void ResolveLearner(const v1::TableSchema& schema, const TableColumns& columns,
                    std::string_view path, Spec& spec, Violations& violations) {
  LearnerResolver(schema, columns, path, spec, violations).Run();
}

}  // namespace trainyard
