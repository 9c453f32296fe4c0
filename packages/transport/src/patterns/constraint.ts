import { IopaError } from '@iopa/constants'
import { type Automaton, automatonOf, isAmbiguous } from './regex-automaton.ts'
import { parseRegex, type RegexNode } from './regex-syntax.ts'

/** The regex of a parameter; it matches a whole segment. */
export interface Constraint {
  readonly source: string
  readonly regex: RegExp
  /** True when the regex matches the whole segment. */
  test(segment: string): boolean
  /** How many different characters it admits: of two constraints at one place, the narrower is tried first. */
  readonly breadth: number
}

/**
 * Compiles the regex of a parameter, and refuses one that is not proven linear.
 *
 * A backtracking matcher takes more than linear time only where one text can be matched in several ways; a regex
 * that is unambiguous costs at most one step for each of its characters and each character of the segment.
 */
export const constraintOf = (pattern: string, source: string): Constraint => {
  const refused = (why: string): Error =>
    new IopaError(500, 'invalid-constraint', `The regex "${source}" in the route pattern ${JSON.stringify(pattern)} is refused: ${why}.`)
  if (source === '') throw refused('it is empty; leave out the ":" to accept any segment')
  let node: RegexNode
  let automaton: Automaton
  let regex: RegExp
  try {
    node = parseRegex(source)
    regex = new RegExp(`^(?:${source})$`, 'u')
    automaton = automatonOf(node, source)
  } catch (error) {
    throw refused((error as Error).message)
  }
  if (isAmbiguous(automaton))
    throw refused(
      'it can match the same text in more than one way, so that a hostile path could take quadratic or exponential time; leave each text one way to match, as in [a-z]+(?:-[a-z]+)*'
    )
  const breadth = automaton.alphabet.filter((_, letter) => automaton.letters.some(set => set[letter] === 1)).length
  return { source, regex, test: segment => regex.test(segment), breadth }
}
