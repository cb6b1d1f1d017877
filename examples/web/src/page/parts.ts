// Finds what index.html has, and says so if it doesn't.

/** The one element below `root` that a selector means. Throws where there is none of that kind. */
export function part<E extends Element>(root: ParentNode, selector: string, kind: new () => E): E {
  const found = root.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} ${selector}`);
  return found;
}

/** The same by the name in `data-part`, with which the parts of a film's card are told apart. */
export function named<E extends Element>(root: ParentNode, name: string, kind: new () => E): E {
  return part(root, `[data-part="${name}"]`, kind);
}
