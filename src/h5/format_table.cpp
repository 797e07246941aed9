#include "dualscape/h5/format.hpp"

namespace dualscape::h5::format {
namespace {

using enum Type;

// One entry a line: path, type, shape, units, description, when.
// clang-format off
constexpr Entry table[] = {
    {"@filetype", text, "", "", "what the file is: `dualscape-result` or `dualscape-checkpoint`"},
    {"@version", integer, "2", "1", "major and minor version of this layout"},
    {"@title", text, "", "", "the deck's title", "a result"},
    {"@code_version", text, "", "", "version of dualscape that wrote the file", "a result"},
    {"@git_commit", text, "", "", "commit dualscape was built from", "a result"},
    {"@git_dirty", flag, "", "1", "whether the sources differed from that commit", "a result"},
    {"@library_versions", text, "L", "", "MPI, PETSc, SLEPc, HDF5 and BLAS with its kernel, one text each", "a result"},
    {"@ranks", integer, "", "1", "MPI ranks of the run", "a result"},
    {"@threads", integer, "", "1", "BLAS threads of a rank", "a result"},
    {"@seed", integer, "", "1", "the deck's seed", "a result"},
    {"@date", text, "", "", "when the file was written, ISO 8601", "a result"},
    {"@host", text, "", "", "the machine rank 0 ran on", "a result"},
    {"@command_line", text, "", "", "the command that was given", "a result"},

    {"deck/", group, "", "", "what was asked for"},
    {"deck/original", text, "", "", "the deck as it was given"},
    {"deck/resolved", text, "", "", "the deck with every default and `--set` filled in"},

    {"data/", group, "", "", "which samples were used"},
    {"data@source", text, "", "", "where the samples came from"},
    {"data@classes", integer, "C", "1", "the classes' labels in the source; a label in this file is a position in this list"},
    {"data/train_index", integer, "N", "1", "position of each selected training sample in the source, ascending"},
    {"data/test_index", integer, "T", "1", "position of each selected test sample in the source, ascending"},
    {"data/label_correct", flag, "N", "1", "1 where a training sample has the source's label, 0 where label noise gave it another one"},

    {"model/", group, "", "", "the analysed weights; the file can serve as `network.weights`"},
    {"model/<layer>/", group, "", "", "one layer, by its name in the deck"},
    {"model/<layer>/weight", real, "out x in", "weight", "W of z = W a + b; row o belongs to output o"},
    {"model/<layer>/bias", real, "out", "weight", "b of z = W a + b", "the layer has a bias"},

    {"training/", group, "", "", "the course of the training, one entry an evaluation", "the deck has [training]"},
    {"training/epoch", integer, "E", "1", "epochs done at the evaluation", "the deck has [training]"},
    {"training/loss", real, "E", "loss", "mean loss over the training samples, dropout off, penalty not included", "the deck has [training]"},
    {"training/accuracy", real, "E", "1", "share of the training samples whose largest logit is at their label", "the deck has [training]"},
    {"training/test_loss", real, "E", "loss", "mean loss over the test samples", "the deck has [training]"},
    {"training/test_accuracy", real, "E", "1", "share of the test samples classified as labelled", "the deck has [training]"},

    {"training/velocity", real, "P", "weight", "state of the momentum, all parameters in their order; empty without momentum", "a checkpoint"},
    {"training@epochs_done", integer, "", "1", "epochs done", "a checkpoint"},
    {"training@stop", integer, "", "1", "0: training goes on; 1: the stopping rule was met; 2: max_epochs was reached", "a checkpoint"},

    {"loss/", group, "", "", "losses at the analysed weights, as attributes"},
    {"loss@train_loss", real, "", "loss", "mean loss over the correctly labelled training samples"},
    {"loss@test_loss", real, "", "loss", "mean loss over the test samples"},
    {"loss@train_accuracy", real, "", "1", "share of the correctly labelled training samples classified as labelled"},
    {"loss@test_accuracy", real, "", "1", "share of the test samples classified as labelled"},
    {"loss@gap", real, "", "loss", "generalization gap: test_loss - train_loss"},

    {"spectrum/", group, "", "", "eigenpairs of a curvature matrix, by block of weights", "the deck has [spectrum]"},
    {"spectrum/<block>/", group, "", "", "one block as the deck names it, `dense2+bias` for instance", "the deck has [spectrum]"},
    {"spectrum/<block>/eigenvalues", real, "m", "loss/weight^2", "Rayleigh quotients theta_n of the normalised eigenvectors v_n, descending", "the deck has [spectrum]"},
    {"spectrum/<block>/residuals", real, "m", "loss/weight^2", "r_n = |H v_n - theta_n v_n| from a fresh product: some eigenvalue lies within r_n of theta_n", "the deck has [spectrum]"},
    {"spectrum/<block>/value_bounds", real, "m", "loss/weight^2", "bound on |lambda_n - theta_n|: r_n^2/d_n where r_n < d_n, else r_n, plus a rounding floor of about 50 eps |H|; d_n is a lower bound on the distance to every other eigenvalue", "the deck has [spectrum]"},
    {"spectrum/<block>/angle_bounds", real, "m", "1", "bound on the sine of the angle between v_n and the eigenvector: r_n/d_n where r_n < d_n, else 1, plus the rounding floor", "the deck has [spectrum]"},
    {"spectrum/<block>/eigenvectors", real, "m x M", "1", "row n is v_n, of length 1, its largest component positive; weights row-major (output, input), the weight before the bias, layer after layer", "`output.eigenvectors` is true"},
    {"spectrum/<block>/clusters", integer, "m", "1", "cluster of each pair, from 0: neighbours closer than 1e-6 of their size or than their residuals tell apart; within a cluster only the sums over its directions mean something", "the deck has [spectrum]"},
    {"spectrum/<block>@operator", text, "", "", "the matrix: hessian, gauss-newton, fisher or empirical-fisher", "the deck has [spectrum]"},
    {"spectrum/<block>@which", text, "", "", "the end of the spectrum asked for: largest, smallest, both or all", "the deck has [spectrum]"},
    {"spectrum/<block>@requested", integer, "", "1", "eigenpairs asked for", "the deck has [spectrum]"},
    {"spectrum/<block>@converged", integer, "", "1", "eigenpairs found to the tolerance", "the deck has [spectrum]"},
    {"spectrum/<block>@reason", text, "", "", "why the solver ended", "the deck has [spectrum]"},
    {"spectrum/<block>@matvecs", integer, "", "1", "products of the matrix with a vector, certificate included", "the deck has [spectrum]"},
    {"spectrum/<block>@check_matvecs", integer, "", "1", "of these, the products of the search for missed copies of multiple eigenvalues", "the deck has [spectrum]"},
    {"spectrum/<block>@upper", integer, "", "1", "the first `upper` pairs are of the upper end of the spectrum, the others of the lower", "the deck has [spectrum]"},
    {"spectrum/<block>@cluster_cut", flag, "", "1", "whether a cluster goes on beyond the pairs asked for", "the deck has [spectrum]"},
    {"spectrum/<block>@seconds", real, "", "s", "wall-clock time of the solution, certificate included", "the deck has [spectrum]"},
    {"spectrum/<block>@orthogonality_defect", real, "", "1", "largest entry of |V^T V - I|", "the deck has [spectrum]"},
    {"spectrum/<block>@symmetry_defect", real, "", "1", "|<u, H v> - <v, H u>| / |H| for random u and v of length 1", "the deck has [spectrum]"},
    {"spectrum/<block>@norm_estimate", real, "", "loss/weight^2", "the |H| that tolerances are relative to", "the deck has [spectrum]"},

    {"duality/", group, "", "", "the gap through the activity-weight duality, by layer", "the deck has [duality]"},
    {"duality/<layer>/", group, "", "", "one analysed layer. Pair k: test sample x', its training partner x, loss gap Dl_k = loss(x') - loss(x), dual weight change DW_k; its components on the eigenvectors are w_kn = <v_n, DW_k> and g_kn = (Dl_k/|DW_k|^2) w_kn", "the deck has [duality]"},
    {"duality/<layer>/directions/", group, "", "", "one entry an eigenpair, in the order of the eigenvalues; m are the eigenpairs of the layer's block", "the deck has [duality]"},
    {"duality/<layer>/directions/eigenvalue", real, "m", "loss/weight^2", "the direction's eigenvalue", "the deck has [duality]"},
    {"duality/<layer>/directions/mean_w", real, "m", "weight", "mu_w: mean of w_kn over the kept pairs", "the deck has [duality]"},
    {"duality/<layer>/directions/mean_g", real, "m", "loss/weight", "mu_g: mean of g_kn over the kept pairs", "the deck has [duality]"},
    {"duality/<layer>/directions/sigma_w", real, "m", "weight", "size: population standard deviation of w_kn over the kept pairs", "the deck has [duality]"},
    {"duality/<layer>/directions/sigma_g", real, "m", "loss/weight", "sharpness: population standard deviation of g_kn over the kept pairs", "the deck has [duality]"},
    {"duality/<layer>/directions/correlation", real, "m", "1", "c: correlation of w_kn and g_kn over the kept pairs, 0 where a sigma is rounding", "the deck has [duality]"},
    {"duality/<layer>/directions/contribution", real, "m", "loss", "mean over k of Dl_k w_kn^2/|DW_k|^2 = c sigma_w sigma_g + mu_w mu_g", "the deck has [duality]"},
    {"duality/<layer>/directions/contribution_bound", real, "m", "loss", "bound on the error of the contribution that the eigenvector's angle bound leaves", "the deck has [duality]"},
    {"duality/<layer>/directions/order_by_sigma_g", integer, "m", "1", "positions of the directions by descending sigma_g", "the deck has [duality]"},
    {"duality/<layer>/pairs/", group, "", "", "one entry a pair", "the deck has [duality]"},
    {"duality/<layer>/pairs/test_index", integer, "K", "1", "position of the test sample among the selected test samples", "the deck has [duality]"},
    {"duality/<layer>/pairs/train_index", integer, "K", "1", "position of the training sample among all selected training samples", "the deck has [duality]"},
    {"duality/<layer>/pairs/distance", real, "K", "input", "Euclidean distance of the two inputs as the network takes them; for `nearest-activity`, of the activities that enter the layer", "the deck has [duality]"},
    {"duality/<layer>/pairs/loss_gap", real, "K", "loss", "Dl_k = loss of the test sample - loss of the training sample", "the deck has [duality]"},
    {"duality/<layer>/pairs/dual_norm", real, "K", "weight", "|DW_k| = |W (a' - a)|/|a|, 0 for a zero dual", "the deck has [duality]"},
    {"duality/<layer>@pairing", text, "", "", "nearest-input, nearest-activity or random", "the deck has [duality]"},
    {"duality/<layer>@anchor", text, "", "", "the set each of whose samples has one pair: test or train", "the deck has [duality]"},
    {"duality/<layer>@sharp", integer, "", "1", "n_s: directions that make the sharp part", "the deck has [duality]"},
    {"duality/<layer>@matched_gap", real, "", "loss", "mean of Dl_k over the kept pairs = total_contribution + complement_contribution + unresolved", "the deck has [duality]"},
    {"duality/<layer>@real_gap", real, "", "loss", "test loss - training loss", "the deck has [duality]"},
    {"duality/<layer>@mean_abs_loss_gap", real, "", "loss", "mean of |Dl_k| over the kept pairs, the scale of the identities' defects", "the deck has [duality]"},
    {"duality/<layer>@partner_loss", real, "", "loss", "mean loss of the partners of the anchor's samples", "the deck has [duality]"},
    {"duality/<layer>@total_contribution", real, "", "loss", "sum of contribution over the computed directions", "the deck has [duality]"},
    {"duality/<layer>@complement_contribution", real, "", "loss", "what lies outside the computed directions: mean of Dl_k (1 - sum_n w_kn^2/|DW_k|^2)", "the deck has [duality]"},
    {"duality/<layer>@sharp_contribution", real, "", "loss", "sum of contribution over the first n_s computed directions by sigma_g", "the deck has [duality]"},
    {"duality/<layer>@flat_contribution", real, "", "loss", "the other computed directions and the complement", "the deck has [duality]"},
    {"duality/<layer>@total_contribution_without_means", real, "", "loss", "sum of c sigma_w sigma_g over the computed directions", "the deck has [duality]"},
    {"duality/<layer>@complement_contribution_without_means", real, "", "loss", "the complement less its own mean term <mean DW, mean G> outside the computed directions", "the deck has [duality]"},
    {"duality/<layer>@sharp_contribution_without_means", real, "", "loss", "sum of c sigma_w sigma_g over the sharp directions", "the deck has [duality]"},
    {"duality/<layer>@flat_contribution_without_means", real, "", "loss", "total_contribution_without_means + complement_contribution_without_means - sharp_contribution_without_means", "the deck has [duality]"},
    {"duality/<layer>@sharp_certified", flag, "", "1", "1 when no direction outside the computed ones can have a larger sigma_g than the n_s-th: its square is at least the largest eigenvalue of the secant covariance projected off the computed directions", "the deck has [duality]"},
    {"duality/<layer>@unresolved", real, "", "loss", "part of matched_gap of the pairs whose dual is zero to rounding", "the deck has [duality]"},
    {"duality/<layer>@zero_duals", integer, "", "1", "kept pairs with |W (a' - a)| <= 32 eps |W| (|a| + |a'|): w and g are 0", "the deck has [duality]"},
    {"duality/<layer>@dropped_pairs", integer, "", "1", "pairs without a dual (a = 0 but W a' is not): in no mean", "the deck has [duality]"},
    {"duality/<layer>@kept_pairs", integer, "", "1", "pairs all means are taken over", "the deck has [duality]"},
    {"duality/<layer>@exactness", real, "", "loss", "largest |loss(x', W) - loss(x, W + DW_k)| over the pairs: 0 but for rounding", "the deck has [duality]"},
    {"duality/<layer>@weight_norm", real, "", "weight", "Frobenius norm |W| of the layer's weight", "the deck has [duality]"},
    {"duality/<layer>@activity_weighted_norm", real, "", "weight", "sqrt(tr W D W^T), D the mean of Da Da^T/|a|^2: the root mean square of dual_norm", "the deck has [duality]"},
    {"duality/<layer>@second_order", real, "", "loss", "mean of grad_z l . r + r^T M_p r/2 at the training partner, r = W (a' - a): no approximation of the gap in a fitted network", "the deck has [duality]"},
    {"duality/<layer>@mean_field", real, "", "loss", "mean of DW_k^T H DW_k/2 with the mean Hessian H: no approximation of the gap in a fitted network", "the deck has [duality]"},
    {"duality/<layer>@identity_accounts", real, "", "1", "|matched_gap - total - complement - unresolved|/mean |Dl_k|: 0 but for rounding", "the deck has [duality]"},
    {"duality/<layer>@identity_dual_norm", real, "", "1", "with a complete basis the largest |sum_n w_kn^2/|DW_k|^2 - 1| over the pairs, otherwise the largest excess over 1: 0 but for rounding", "the deck has [duality]"},
    {"duality/<layer>@identity_products", real, "", "1", "largest |contribution - c sigma_w sigma_g - mu_w mu_g|/mean |Dl_k| over the directions: 0 but for rounding", "the deck has [duality]"},
    {"duality/<layer>@identity_activity_norm", real, "", "1", "relative defect of activity_weighted_norm^2 = mean of dual_norm^2: 0 but for rounding", "the deck has [duality]"},
    {"duality/<layer>@identity_size", real, "", "1", "relative defect of sum_n (sigma_w^2 + mu_w^2) = mean of |r|^2/|a|^2: 0 but for rounding", "the directions are a complete basis"},
    {"duality/<layer>@identity_sharpness", real, "", "1", "relative defect of sum_n (sigma_g^2 + mu_g^2) = mean of Dl_k^2/|DW_k|^2: 0 but for rounding", "the directions are a complete basis"},
    {"duality/<layer>@identity_curvature", real, "", "1", "largest |sum_n lambda_n w_kn^2 - DW_k^T H DW_k|/(|H| |DW_k|^2) over up to 32 pairs, H applied anew: eigenvalues and directions are in step", "the directions are a complete basis"},
    {"duality/<layer>@identity_real_gap", real, "", "1", "|matched_gap - real_gap - (training loss - partner_loss)|/mean |Dl_k|: 0 but for rounding", "the anchor is `test` and no pair was dropped"},
};
// clang-format on

}  // namespace

std::span<const Entry> entries() {
  return table;
}

}  // namespace dualscape::h5::format
