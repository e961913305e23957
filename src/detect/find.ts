/** Where a detector found something: from the first to past the last character (UTF-16 units) of the text. */
export type Find = { readonly from: number; readonly to: number }
