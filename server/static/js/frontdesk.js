// Small comforts. Every page works without them.
import { watchCountdown } from "./countdown.js";
import { watchProgress } from "./progress.js";
import { submitFilters, guardForms, showErrors } from "./forms.js";

showErrors();
submitFilters();
guardForms();
watchCountdown();
watchProgress();
