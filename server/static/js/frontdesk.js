// Small comforts. Every page works without them.
import { watchCountdown } from "./countdown.js";
import { submitFilters, guardForms, showErrors } from "./forms.js";

showErrors();
submitFilters();
guardForms();
watchCountdown();
