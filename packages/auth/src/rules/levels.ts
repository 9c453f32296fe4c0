import { optionError, type PatternSegment, parsePattern } from '@iopa/appbuilder/extension'
import { acceptsSegment, isOptionalSegment } from '@iopa/transport'

/** One level of a path that a rule is for. */
type Level =
  | { readonly kind: 'static'; readonly value: string }
  /** `segment` is a parameter; missing for `+`, which also takes an empty level of an MQTT topic. */
  | { readonly kind: 'any'; readonly segment?: PatternSegment; readonly name?: string; readonly owner?: boolean }

/** The levels of a pattern or a filter, and what may follow them. */
export interface Levels {
  readonly levels: readonly Level[]
  /** Fewest further levels that match: 0 for `#`, 1 for a tail; null where none may follow. */
  readonly rest: 0 | 1 | null
  /** True where the first level is `+` or `#`, which do not match what begins with `$` (MQTT 5 section 4.7.2). */
  readonly hidesDollar: boolean
}

const PLUS = 'iopa_plus_'

/** Levels of a list of segments; a final slash makes no difference. */
const levelsOf = (segments: readonly PatternSegment[], owner?: string): Levels => {
  const levels: Level[] = []
  let rest: Levels['rest'] = null
  for (const [at, segment] of segments.entries()) {
    if (segment.kind === 'tail') rest = 1
    else if (segment.kind !== 'static') {
      const name = segment.kind === 'param' ? segment.name : undefined
      levels.push(
        name?.startsWith(PLUS)
          ? { kind: 'any' }
          : {
              kind: 'any',
              segment,
              ...(name === undefined ? undefined : { name }),
              ...(name !== undefined && name === owner ? { owner: true } : undefined)
            }
      )
    } else if (segment.value !== '' || at < segments.length - 1) levels.push({ kind: 'static', value: segment.value })
  }
  return { levels, rest, hidesDollar: false }
}

/** What a pattern of the core, or an MQTT filter behind a slash, stands for: one way for each way of leaving out optional segments. */
export const parseLevels = (text: string, owner?: string): Levels[] => {
  if (typeof text !== 'string' || text[0] !== '/')
    throw optionError(`A rule is for paths such as '/lights/{id}', '/lights/*' and '/lights/#', not ${JSON.stringify(text)}: begin it with "/".`)
  const below = text.endsWith('/#')
  let count = 0
  const pattern = (below ? text.slice(0, -2) : text).replace(/(?<=\/)\+(?=\/|$)/g, () => `{${PLUS}${count++}}`)
  if (/(?:^|\/)[^{}]*#/.test(pattern)) throw optionError(`In the path ${JSON.stringify(text)} of a rule, '#' must be the last level.`)
  const variants = pattern === '' ? [[]] : parsePattern(pattern).variants
  return variants.map(segments => {
    const { levels, rest } = levelsOf(segments, owner)
    const [first] = levels
    const hidesDollar = first === undefined ? below : first.kind === 'any' && first.segment === undefined
    if (below && rest !== null) throw optionError(`The path ${JSON.stringify(text)} of a rule has a tail and '#': write one of them.`)
    return { levels, rest: below ? 0 : rest, hidesDollar }
  })
}

/** The levels of an MQTT filter as a path. */
export const filterLevels = (path: string): Levels => {
  const parts = path.slice(1).split('/')
  const below = parts.at(-1) === '#'
  if (below) parts.pop()
  else if (parts.at(-1) === '') parts.pop()
  const levels = parts.map((value): Level => (value === '+' ? { kind: 'any' } : { kind: 'static', value }))
  return { levels, rest: below ? 0 : null, hidesDollar: levels[0] === undefined ? below : levels[0].kind === 'any' }
}

/** True where the levels match a canonical path. `user` is the id that a level of the owner must be. Allocates nothing for static levels and plain parameters. */
export const matchesPath = ({ levels, rest, hidesDollar }: Levels, path: string, user: string | undefined): boolean => {
  if (hidesDollar && path.charCodeAt(1) === 36) return false
  const length = path.length
  // A final slash makes no difference.
  const end = path.charCodeAt(length - 1) === 47 ? length - 1 : length
  let at = 0
  for (const level of levels) {
    if (at >= end) return false
    const start = at + 1
    const slash = path.indexOf('/', start)
    const stop = slash < 0 || slash > end ? end : slash
    if (level.kind === 'static') {
      if (stop - start !== level.value.length || !path.startsWith(level.value, start)) return false
    } else if (level.segment !== undefined) {
      if (stop === start) return false
      if (level.owner === true && (user === undefined || stop - start !== user.length || !path.startsWith(user, start))) return false
      if ((level.segment.kind !== 'param' || level.segment.constraint !== undefined) && !acceptsSegment(level.segment, path.slice(start, stop)))
        return false
    }
    at = stop
  }
  return rest === null ? at === end : rest === 0 || at < length
}

const meet = (one: Level, other: Level, user: string | undefined): boolean => {
  if (one.kind === 'static') {
    if (other.kind === 'static') return one.value === other.value
    return meet(other, one, user)
  }
  if (other.kind === 'static') {
    if (one.owner === true && other.value !== user) return false
    return one.segment === undefined || acceptsSegment(one.segment, other.value)
  }
  const owner = one.owner === true || other.owner === true
  if (!owner) return true
  if (user === undefined) return false
  return [one, other].every(({ segment }) => segment === undefined || acceptsSegment(segment, user))
}

/** True where some path may match both. Where constraints and text beside parameters meet, it says yes. */
export const overlaps = (one: Levels, other: Levels, user: string | undefined): boolean => {
  const isDollar = (levels: Levels): boolean => levels.levels[0]?.kind === 'static' && levels.levels[0].value.startsWith('$')
  if ((one.hidesDollar && isDollar(other)) || (other.hidesDollar && isDollar(one))) return false
  const shared = Math.min(one.levels.length, other.levels.length)
  for (let at = 0; at < shared; at++) if (!meet(one.levels[at] as Level, other.levels[at] as Level, user)) return false
  const [shorter, longer] = one.levels.length <= other.levels.length ? [one, other] : [other, one]
  return longer.levels.length > shared ? shorter.rest !== null : one.rest !== null || other.rest !== null ? canEndAlike(one, other) : true
}

/** Of two lists of equally many levels: a tail needs one more, which the other must allow. */
const canEndAlike = (one: Levels, other: Levels): boolean => !((one.rest === 1 && other.rest === null) || (other.rest === 1 && one.rest === null))

/** True where `wide` surely matches every path that `narrow` does. */
export const covers = (wide: Levels, narrow: Levels): boolean => {
  if (wide.hidesDollar && !narrow.hidesDollar && narrow.levels[0]?.kind !== 'static') return false
  if (wide.hidesDollar && narrow.levels[0]?.kind === 'static' && narrow.levels[0].value.startsWith('$')) return false
  const [most, least] = [wide.levels.length, narrow.levels.length]
  if (most > least || (wide.rest === null && (narrow.rest !== null || most !== least))) return false
  if (wide.rest === 1 && most === least && narrow.rest !== 1) return false
  return wide.levels.every((level, at) => {
    const other = narrow.levels[at] as Level
    if (level.kind === 'static') return other.kind === 'static' && other.value === level.value
    if (level.owner === true) return false
    if (level.segment === undefined) return true
    if (other.kind === 'static') return acceptsSegment(level.segment, other.value)
    // A plain parameter takes all but an empty level.
    return level.segment.kind === 'param' && level.segment.constraint === undefined && other.segment !== undefined
  })
}

/** The parameters of a path that matches. */
export const paramsOf = ({ levels }: Levels, path: string): Record<string, string> => {
  const params: Record<string, string> = Object.create(null)
  const parts = path.slice(1).split('/')
  for (const [at, level] of levels.entries()) if (level.kind === 'any' && level.name !== undefined) params[level.name] = parts[at] as string
  return params
}

/** All ways of a list of segments of a route. */
export const routeLevels = (segments: readonly PatternSegment[]): Levels[] => {
  const optional = segments.findIndex(isOptionalSegment)
  if (optional < 0) return [levelsOf(segments)]
  const without = [...segments.slice(0, optional), ...segments.slice(optional + 1)]
  const kept = segments.map((segment, at) => (at === optional ? ({ ...segment, optional: false } as PatternSegment) : segment))
  return [...routeLevels(kept), ...routeLevels(without)]
}
