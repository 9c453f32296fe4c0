const TOKEN = /@(\w+)@/g

/** The tokens in a text. */
export const tokensIn = (text: string): string[] => Array.from(text.matchAll(TOKEN), match => match[1] as string)
