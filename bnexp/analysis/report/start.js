"use strict";
// The start, after all scripts are there.

startTheme();
startContents();
startFolding();
document.querySelectorAll(".interactive").forEach((box) => whenNear(box, () => startChart(box)));
whenNear(document.getElementById("runs-table"), startRunsOnce);
if (location.hash.startsWith("#run-")) startRunsOnce();
address.scroll();
(window.requestIdleCallback ?? setTimeout)(() => { // before anyone prints
  loadOpen();
  startRunsOnce();
});
