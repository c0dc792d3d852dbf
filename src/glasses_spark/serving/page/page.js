// Sends a picture to the service, and shows its answer. It needs no other site.
"use strict";

const at = (id) => document.getElementById(id);
let token = "";
let last = null;
let number = 0;

function say(text, isError) {
  at("status").textContent = text;
  at("status").classList.toggle("error", Boolean(isError));
}

async function send(file) {
  last = file;
  // An answer to an earlier picture is not shown.
  const mine = ++number;
  at("result").hidden = true;
  say("Looking at the picture ...");
  const headers = { "Content-Type": "application/octet-stream" };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  let answer;
  try {
    response = await fetch("explain", { method: "POST", headers, body: file });
    answer = await response.json();
  } catch {
    if (mine === number) say("The service does not answer.", true);
    return;
  }
  if (mine !== number) return;
  at("access").hidden = response.status !== 401;
  if (response.status === 401) {
    say(token ? "The token is wrong." : "", true);
    at("token").focus();
  } else if (!response.ok) {
    say(`No answer: ${answer.error ?? response.status}`, true);
  } else {
    show(file, answer);
  }
}

function show(file, answer) {
  const { probability, predicted_label, warning } = answer.result;
  say("");
  at("answer").textContent =
    `${predicted_label ? "Glasses" : "No glasses"}: the probability of glasses is ` +
    `${(100 * probability).toFixed(1)} %`;
  at("meter").value = probability;
  at("meter").textContent = probability.toFixed(3);
  at("warning").hidden = !warning;
  at("warning").textContent = warning ? `Do not trust this answer: the picture is ${warning}.` : "";
  URL.revokeObjectURL(at("original").src);
  at("original").src = URL.createObjectURL(file);
  at("seen").src = `data:image/png;base64,${answer.seen}`;
  at("evidence").src = `data:image/png;base64,${answer.evidence}`;
  at("strength").textContent =
    `The threshold is ${answer.threshold}. The strongest part of the picture changes the logit by ` +
    `${answer.strongest.toFixed(2)}.`;
  at("result").hidden = false;
  at("answer").focus();
}

function first(files) {
  if (files.length) send(files[0]);
}

for (const id of ["file", "camera"]) {
  at(id).addEventListener("change", (event) => {
    first(event.target.files);
    event.target.value = ""; // so that the same file can be chosen again
  });
}
at("overlay").addEventListener("change", (event) => {
  at("evidence").hidden = !event.target.checked;
});
at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  if (last) send(last);
});
document.addEventListener("paste", (event) => first(event.clipboardData.files));
for (const name of ["dragover", "drop"]) {
  document.addEventListener(name, (event) => event.preventDefault());
}
document.addEventListener("dragover", () => at("drop").classList.add("over"));
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  at("drop").classList.remove("over");
  first(event.dataTransfer.files);
});
