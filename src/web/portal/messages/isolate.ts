/** Keeps a name from another script from reordering the sentence around it. */

/** Wraps in FIRST STRONG ISOLATE … POP DIRECTIONAL ISOLATE (UAX #9); <bdi> for text inside a translated sentence. */
export const isolate = (text: string): string => `\u2068${text}\u2069`
