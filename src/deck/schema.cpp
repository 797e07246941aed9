#include "dualscape/deck/schema.hpp"

#include "dualscape/deck/axes.hpp"

namespace dualscape::deck {

namespace {

Table<Data> data_keys() {
  return Table<Data>()
      .key("source", &Data::source, {.help = "Which data set, and in which files."})
      .key("path", &Data::path,
           {.help = "Folder of the files, or the file itself for `hdf5`; relative paths start at the working "
                    "directory. Empty: a named data set is looked for in its usual places and in "
                    "`$DUALSCAPE_DATA`; `idx` and `hdf5` need a path."})
      .key("classes", &Data::classes,
           {.help = "Labels to keep, e.g. `[0, 1, 7]`; samples of other classes are left out. Empty: every "
                    "class found, in ascending order.",
            .limits = at_least(0)})
      .key("train_per_class", &Data::train_per_class,
           {.help = "Training samples taken from each class, mislabelled ones included. 0: all there are.",
            .limits = at_least(0),
            .unit = "samples"})
      .key("test_count", &Data::test_count,
           {.help = "Test samples: the first ones of the kept classes, in the order of the source. 0: all.",
            .limits = at_least(0),
            .unit = "samples"})
      .key(
          "label_noise", &Data::label_noise,
          {.help = "Fraction of the training samples of each class that get a wrong label, drawn uniformly "
                   "from the other classes. The network is trained on them; training loss, Hessian and pairs "
                   "are taken over the correctly labelled samples only.",
           .limits = from_to_below(0, 1)})
      .key("scale", &Data::scale,
           {.help = "Integer inputs are divided by it; inputs stored as floats are taken as they are.",
            .limits = above(0)});
}

Table<Layer> layer_keys() {
  return Table<Layer>()
      .key("type", &Layer::type, {.help = "Kind of layer."})
      .key("units", &Layer::units,
           {.help = "Number of outputs; for the last layer, the number of classes.",
            .limits = at_least(1),
            .required = true})
      .key(
          "name", &Layer::name,
          {.help = "Name used in `spectrum.block`, `duality.layer` and in result files: letters, digits, `_` "
                   "and `-`, but not `all`, each name once. Empty: type and position, `dense1`, `dense2`, "
                   "..."})
      .key("activation", &Layer::activation,
           {.help = "Activation after this layer. Unset: `network.activation`. Not for the last layer, whose "
                    "outputs are the logits."})
      .key("bias", &Layer::bias, {.help = "Whether this layer has a bias. Unset: `network.bias`."})
      .key(
          "dropout", &Layer::dropout,
          {.help = "Fraction of this layer's activities that each training step sets to zero, at random; the "
                   "others are divided by 1 - dropout. Off in every analysis. Not for the last layer.",
           .limits = from_to_below(0, 1)});
}

Table<Network> network_keys() {
  return Table<Network>()
      .key("loss", &Network::loss,
           {.help = "Loss of a sample. The loss of a set is its mean over the samples."})
      .key("activation", &Network::activation,
           {.help = "Activation after each hidden layer that sets none of its own."})
      .key("bias", &Network::bias,
           {.help = "Whether layers have a bias where they do not say so themselves."})
      .key("init_scale", &Network::init_scale,
           {.help = "Initial weights and biases are uniform in (-1/sqrt(fan_in), 1/sqrt(fan_in)), times this "
                    "factor. No effect with `weights`.",
            .limits = above(0)})
      .key("weights", &Network::weights,
           {.help = "HDF5 file with `model/<layer>/weight` and `model/<layer>/bias`, e.g. the result of an "
                    "earlier run: training starts from these weights, and without a `[training]` table they "
                    "are analysed as they are. Empty: random initial weights."})
      .list(
          "layers", &Network::layers, layer_keys(),
          "The layers from the input up, `[{ units = 30 }, { units = 10 }]`. The last one gives the logits.",
          true);
}

Table<WeightDecay> weight_decay_keys() {
  return Table<WeightDecay>()
      .key("kind", &WeightDecay::kind,
           {.help = "Penalty added to the loss that training minimises; it is no part of the losses, the "
                    "Hessian or the gap that are reported."})
      .key("strength", &WeightDecay::strength, {.help = "Factor of the penalty.", .limits = at_least(0)})
      .key("epochs", &WeightDecay::epochs,
           {.help = "The penalty acts in the first `epochs` epochs and is dropped after them.",
            .limits = at_least(0),
            .unit = "epochs"});
}

Table<Training> training_keys() {
  return Table<Training>()
      .key(
          "learning_rate", &Training::learning_rate,
          {.help = "Step of stochastic gradient descent along the gradient of a batch's mean loss; constant.",
           .limits = above(0)})
      .key("momentum", &Training::momentum,
           {.help = "Factor of the previous step's velocity: v <- momentum v + gradient, W <- W - "
                    "learning_rate v. 0: plain gradient descent.",
            .limits = from_to_below(0, 1)})
      .key(
          "batch_size", &Training::batch_size,
          {.help = "Samples of a step. The order is drawn anew each epoch; a shorter last batch is used too.",
           .limits = at_least(1),
           .unit = "samples"})
      .key("max_epochs", &Training::max_epochs,
           {.help = "Training ends here at the latest. 0: the initial weights are analysed.",
            .limits = at_least(0),
            .unit = "epochs"})
      .key("stop_loss", &Training::stop_loss,
           {.help = "Training stops once the training loss (correct labels, no dropout, no penalty) is below "
                    "this and `stop_accuracy` is met too. 0: never.",
            .limits = at_least(0)})
      .key("stop_accuracy", &Training::stop_accuracy,
           {.help = "Training stops once the mean training accuracy of the last nine epochs (of all, while "
                    "there are fewer) is above this and `stop_loss` is met too. 1: never.",
            .limits = from_to(0, 1)})
      .table("weight_decay", &Training::weight_decay, weight_decay_keys(),
             "A penalty on the size of the parameters, as an inline table.");
}

Table<Spectrum> spectrum_keys() {
  return Table<Spectrum>()
      .key("operator", &Spectrum::curvature,
           {.help = "The matrix whose eigenpairs are computed, over the analysed training samples. Penalties "
                    "are no part of it."})
      .key<OneOrMoreStrings>(
          "block", &Spectrum::block,
          {.help = "The parameters it acts on: a layer's weight (`\"dense2\"`), weight and bias "
                   "(`\"dense2+bias\"`), a list of these taken together as one block, or `\"all\"` for every "
                   "parameter.",
           .required = true})
      .key("which", &Spectrum::which, {.help = "Which end of the spectrum."})
      .key("count", &Spectrum::count,
           {.help =
                "Eigenpairs asked for (at each end with `both`; no effect with `all`). Fewer that converge "
                "are an error, exit status 4.",
            .limits = at_least(1),
            .unit = "eigenpairs"})
      .key(
          "tolerance", &Spectrum::tolerance,
          {.help = "Largest residual |H v - lambda v| of an eigenpair, relative to the norm |H|. Products in "
                   "single precision allow 1e-6, in double and mixed 1e-14.",
           .limits = above(0)})
      .key("density_probes", &Spectrum::density_probes,
           {.help =
                "Random vectors behind the density of the eigenvalues (stochastic Lanczos quadrature); "
                "orthogonal to the computed eigenvectors, which are counted apart; they give its error bars, "
                "reliable from four on. 0: no density; otherwise at least 2.",
            .limits = at_least(0),
            .unit = "vectors"})
      .key("density_steps", &Spectrum::density_steps,
           {.help = "Lanczos steps of each of these, with full reorthogonalisation: density_probes x "
                    "density_steps products.",
            .limits = at_least(2),
            .unit = "steps"})
      .key("density_width", &Spectrum::density_width,
           {.help = "Width of the peak that a node of the quadrature becomes, relative to its distance from "
                    "zero.",
            .limits = above(0)})
      .key(
          "trace_products", &Spectrum::trace_products,
          {.help = "Products for the trace and the Frobenius norm (Hutch++); exact with as many as the block "
                   "has parameters. 0: none; otherwise at least 6.",
           .limits = at_least(0),
           .unit = "products"})
      .key("diagonal_products", &Spectrum::diagonal_products,
           {.help = "Products for the diagonal: exact with as many as the block has parameters, otherwise a "
                    "mean over random signs with its error. 0: none; otherwise at least 2.",
            .limits = at_least(0),
            .unit = "products"})
      .key("ntk", &Spectrum::ntk,
           {.help = "Largest eigenvalues of the neural tangent kernel J J^T, J the Jacobian of all analysed "
                    "samples' logits in the block; to `tolerance`. 0: none.",
            .limits = at_least(0),
            .unit = "eigenvalues"})
      .key(
          "solver_block", &Spectrum::solver_block,
          {.help = "Vectors the solver multiplies at once: as many copies of an eigenvalue are found without "
                   "a search, and products with several vectors are cheaper, but more of them are needed.",
           .limits = at_least(1),
           .unit = "vectors"})
      .key("second_start", &Spectrum::second_start,
           {.help = "Solve once more from other random vectors, as a check for missed eigenpairs: a "
                    "disagreement is an error, exit status 4. No effect with `all`."})
      .key("prune", &Spectrum::prune,
           {.help = "Leaves out of the solve the samples that matter least: those of the smallest bounds on "
                    "|h_p|, H = mean h_p, whose sum over the number of samples stays below this share of "
                    "|H|. Products with all samples then certify the pairs and mend what is missing for the "
                    "tolerance. Pays in a fitted network: ten times the tolerance is a good start. 0: no "
                    "sample is left out.",
            .limits = from_to_below(0, 1)});
}

Table<Duality> duality_keys() {
  return Table<Duality>()
      .key<OneOrMoreStrings>(
          "layer", &Duality::layer,
          {.help = "The layers whose weight takes up the difference between the two samples of a pair, each "
                   "analysed on its own: one name, a list, or `\"all\"` for every dense layer of "
                   "`spectrum.block`, which must contain them.",
           .required = true})
      .key("pairing", &Duality::pairing, {.help = "How a sample finds its partner in the other set."})
      .key("anchor", &Duality::anchor, {.help = "Which set's samples look for a partner."})
      .key(
          "neighbours", &Duality::neighbours,
          {.help = "Partners of each sample, the nearest ones, each in a pair of its own: all means are over "
                   "all pairs. With `random`, drawn that many times.",
           .limits = at_least(1),
           .unit = "partners"})
      .key("neighbour_rank", &Duality::neighbour_rank,
           {.help = "Which partner is the first of `neighbours`: 1 the nearest, k the k-th nearest, nearer "
                    "ones left out. Only 1 with `random`.",
            .limits = at_least(1)})
      .key("dual", &Duality::dual, {.help = "Which of the dual weights that solve (W + DW) a = W a'."})
      .key("ridge", &Duality::ridge,
           {.help = "With `dual = \"metric\"`: what is added to the diagonal of G, relative to its mean. "
                    "Above 0 wherever a unit never answers.",
            .limits = at_least(0)})
      .key("sharp", &Duality::sharp,
           {.help =
                "Number of directions that make up the sharp part of the gap: the first ones by descending "
                "sigma_g, or as `sharp_by` says.",
            .limits = at_least(1),
            .unit = "directions"})
      .key("sharp_by", &Duality::sharp_by, {.help = "How the directions of the sharp part are chosen."})
      .key("sharp_share", &Duality::sharp_share,
           {.help = "With `sharp_by = \"share\"`: the share of the sum of sigma_g^2 that is sharp.",
            .limits = from_to(0, 1)})
      .key(
          "bootstrap", &Duality::bootstrap,
          {.help = "Resamples of the pairs behind the 95 % intervals of the gap and its parts; a test sample "
                   "goes with all its pairs. 0: no intervals.",
           .limits = at_least(0),
           .unit = "resamples"})
      .key("operators", &Duality::operators,
           {.help =
                "Operators on the layer's weight, made of the dual weights DW, whose extreme eigenpairs are "
                "computed too, to `spectrum.tolerance`; each once."})
      .key("operator_count", &Duality::operator_count,
           {.help =
                "Eigenpairs of each of `operators`: the largest, of `gap` as many of the smallest too. All "
                "of them when the weight has at most four times as many entries.",
            .limits = at_least(1),
            .unit = "eigenpairs"})
      .key(
          "co_spectrum", &Duality::co_spectrum,
          {.help = "Largest number of pairs for which the eigenvalues of curvature times dual covariance are "
                   "computed, from a matrix of pairs x pairs. 0: never.",
           .limits = at_least(0),
           .unit = "pairs"});
}

Table<Numerics> numerics_keys() {
  return Table<Numerics>()
      .key(
          "precision", &Numerics::precision,
          {.help = "Precision of the network's products. The certificate of each eigenpair shows what single "
                   "precision costs."})
      .key("threads", &Numerics::threads,
           {.help = "BLAS threads of each MPI rank.", .limits = at_least(1), .unit = "threads"})
      .key<ByteSize>(
          "cache", &Numerics::cache,
          {.help = "Memory of each rank for activities kept between products, e.g. `\"4 GiB\"` or a "
                   "number of bytes; samples beyond it are recomputed in every product. `\"auto\"`: "
                   "what fits in half of the memory that falls to a rank of its node, beside the rest of its "
                   "plan.",
           .limits = at_least(0),
           .unit = "bytes"})
      .key("lanes", &Numerics::lanes,
           {.help =
                "Number of partial sums a sum over samples is made of. It fixes the order of additions, so "
                "that results have the same bits at any number of ranks; more ranks than lanes stay idle. "
                "0: by the number of samples alone, 8 to 64.",
            .limits = zero_or_power_of_two(),
            .unit = "lanes"})
      .key("tile", &Numerics::tile,
           {.help = "Largest number of samples whose products are done at once. It changes results by their "
                    "rounding alone, and never with the number of ranks. 0: by the widths of the layers.",
            .limits = at_least(0),
            .unit = "samples"})
      .key("dense_limit", &Numerics::dense_limit,
           {.help =
                "Largest block for which `which = \"all\"` is allowed: its matrix is assembled and solved on "
                "one rank, 32 dense_limit^2 bytes with its eigenvectors and workspace.",
            .limits = at_least(1),
            .unit = "parameters"})
      .key("checkpoint_seconds", &Numerics::checkpoint_seconds,
           {.help =
                "A training, at an epoch's end, an eigensolve, at a restart, and a decomposition, after a "
                "block of pairs, write where they stand to the run's folder this often at most, and when a "
                "signal stops them. 0: each time.",
            .limits = at_least(0),
            .unit = "s"});
}

Table<Output> output_keys() {
  return Table<Output>()
      .key("directory", &Output::directory,
           {.help =
                "Folder of the run: the decks, the log, `result.h5`. `--output` takes precedence; one of the "
                "two is needed."})
      .key("eigenvectors", &Output::eigenvectors,
           {.help = "Whether eigenvectors are written to the result (count x block size x 8 bytes)."});
}

Table<AxisForm> axis_keys() {
  return Table<AxisForm>()
      .key("key", &AxisForm::key,
           {.help = "The key to vary, e.g. `training.batch_size`; a layer's by its position from 0, "
                    "`network.layers.0.units`. No key of `[study]`.",
            .required = true})
      .key("values", &AxisForm::values,
           {.help = "The values, booleans, numbers or strings, each allowed for the key. Or give a range:"})
      .key("from", &AxisForm::from, {.help = "First value of a range of numbers."})
      .key(
          "to", &AxisForm::to,
          {.help =
               "Last value of the range. With `step`, the last one that does not pass it. Ranges are rounded "
               "to 12 digits, and to whole numbers where the key takes integers."})
      .key("step", &AxisForm::step, {.help = "Difference between neighbours; negative when `to` < `from`."})
      .key("count", &AxisForm::count,
           {.help = "Number of values, both ends included.", .limits = at_least(2), .unit = "values"})
      .key("log", &AxisForm::log,
           {.help = "With `count`: equal ratios between neighbours instead of equal differences."});
}

Table<Study> study_keys() {
  const auto expand = [](const AxisForm& form, const Input& input) {
    return expand_axis(form, input, schema().description());
  };
  const auto form_of = [](const Axis& axis) {
    AxisForm form;
    form.key = axis.key;
    form.values = axis.values;
    return form;
  };
  return Table<Study>()
      .key("repeats", &Study::repeats,
           {.help = "Runs of each point of the study, which differ in their seed alone.",
            .limits = at_least(1),
            .unit = "runs"})
      .key("ranks_per_run", &Study::ranks_per_run,
           {.help =
                "MPI ranks that share a run; the study has as many runs at a time as there are such groups. "
                "Results do not depend on it.",
            .limits = at_least(1),
            .unit = "ranks"})
      .key("mode", &Study::mode, {.help = "How several axes go together."})
      .list<AxisForm, Axis>("axes", &Study::axes, axis_keys(),
                            "What varies, `[{ key = \"training.batch_size\", values = [25, 100] }]`. Empty: "
                            "repeats only.",
                            false, expand, form_of);
}

Table<Config> deck_keys() {
  return Table<Config>()
      .key("title", &Config::title, {.help = "One line on the run, kept in its result."})
      .key("seed", &Config::seed,
           {.help = "Every random choice follows from it: samples, label noise, initial weights, batches, "
                    "dropout, "
                    "random pairs, start vectors. Equal seeds give equal results, on any number of ranks.",
            .limits = at_least(0)})
      .table("data", &Config::data, data_keys(), "Training and test samples.")
      .table("network", &Config::network, network_keys(), "The network and its loss.")
      .table("training", &Config::training, training_keys(),
             "Training by stochastic gradient descent. Without this table nothing is trained, and "
             "`network.weights` is required.")
      .table("spectrum", &Config::spectrum, spectrum_keys(),
             "Eigenpairs of the training loss's curvature. Without this table none are computed.")
      .table("duality", &Config::duality, duality_keys(),
             "Decomposition of the generalization gap along the eigenvectors, through the activity-weight "
             "duality of a layer. Needs `[spectrum]`. Without this table there is none.")
      .table("numerics", &Config::numerics, numerics_keys(), "Precision, memory and threads.")
      .table("output", &Config::output, output_keys(), "Where results go, and which.")
      .table("study", &Config::study, study_keys(),
             "A family of runs, for `dualscape study`; `dualscape run` takes no notice of it.");
}

}  // namespace

const Table<Config>& schema() {
  static const auto keys = deck_keys();
  return keys;
}

}  // namespace dualscape::deck
