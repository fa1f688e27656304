// The program in a page of the tests' site, which takes what is told.
import { run } from "./program.js";

run().then(
  (result) => fetch("told/result", { method: "POST", body: result }),
  (error) => fetch("problem", { method: "POST", body: `${error}\n${error.stack}` }),
);
