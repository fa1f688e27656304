// create-godwit-plugin as a module.
export {};
