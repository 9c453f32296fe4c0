import type { Context, User } from '@iopa/appbuilder'
import { IopaError } from '@iopa/appbuilder'
import { checkOptions, kindOf, optionError } from '@iopa/appbuilder/extension'
import { withOrigin } from '@iopa/constants'
import { type Action, type Actions, actionsOf } from './actions.ts'
import { type Levels, matchesPath, paramsOf, parseLevels } from './levels.ts'

/**
 * Who may do what to which paths. All that a rule says of who must hold; a rule that says nothing is for every user.
 */
export interface Rule {
  /** Patterns of routes (`/lights/{id}`, `/files/*`) or, behind a slash, MQTT filters (`/lights/+/state`, `/lights/#`). */
  readonly to: string | readonly string[]
  /** What the rule is about: methods, `read`, `observe`, `change`; everything unless given. */
  readonly may?: Action | readonly Action[]
  /** True holds for requests without a user as well. */
  readonly anyone?: boolean
  /** One of these must be in `roles` of the user, which is an array of strings. */
  readonly roles?: string | readonly string[]
  /** The id of the user must be one of these. */
  readonly users?: string | readonly string[]
  /** A parameter of `to` that must be the id of the user. */
  readonly owner?: string
  /** Must give true at once. For a subscription with wildcards it is not asked; each delivery asks it. */
  readonly when?: (context: Context, params: Readonly<Record<string, string>>) => boolean
  /** True refuses what the rule is about; later rules are not asked. */
  readonly deny?: boolean
}

const MEMBERS: Record<keyof Rule, true> = { to: true, may: true, anyone: true, roles: true, users: true, owner: true, when: true, deny: true }

/** A rule, compiled. */
export class CompiledRule {
  readonly actions: Actions
  readonly deny: boolean
  readonly places: readonly Levels[]
  readonly when: Rule['when']
  readonly anyone: boolean
  readonly #roles: ReadonlySet<string> | null
  readonly #users: ReadonlySet<string> | null
  readonly owned: boolean

  constructor(rule: Rule, caller: unknown) {
    checkOptions('A rule of allow()', rule, MEMBERS, caller)
    const { to, may, anyone, roles, users, owner, when, deny } = rule
    const paths = typeof to === 'string' ? [to] : to
    if (!Array.isArray(paths) || paths.length === 0) throw optionError(`A rule needs the member to: a path or a list of paths, not ${kindOf(to)}.`)
    if (anyone === true && (roles !== undefined || users !== undefined || owner !== undefined))
      throw optionError('A rule for anyone has no roles, users or owner: these ask for a user.')
    if (when !== undefined && typeof when !== 'function')
      throw optionError(`The member when of a rule is a function (context, params) => boolean, not ${kindOf(when)}.`)
    for (const [name, flag] of [
      ['anyone', anyone],
      ['deny', deny]
    ] as const)
      if (flag !== undefined && typeof flag !== 'boolean') throw optionError(`The member ${name} of a rule is true or false, not ${kindOf(flag)}.`)
    this.actions = actionsOf(may)
    this.places = paths.flatMap(path => parseLevels(path, owner))
    if (owner !== undefined && !this.places.every(({ levels }) => levels.some(level => level.kind === 'any' && level.owner)))
      throw optionError(`The owner '${owner}' of a rule must be a parameter that fills a segment of each of its paths, and is not optional.`)
    this.owned = owner !== undefined
    this.when = when
    this.deny = deny === true
    this.anyone = anyone === true
    this.#roles = namesOf('roles', roles)
    this.#users = namesOf('users', users)
  }

  /** The place that matches a path for this user. */
  placeOf(path: string, user: string | undefined): Levels | undefined {
    for (const place of this.places) if (matchesPath(place, path, user)) return place
    return undefined
  }

  /** True where what the rule says of the user holds, but for the owner. */
  isFor(user: User | undefined): boolean {
    if (this.anyone) return true
    if (user === undefined) return false
    if (this.#users !== null && !this.#users.has(user.id)) return false
    return this.#roles === null || hasRole(user['roles'], this.#roles)
  }

  /** True where the condition of the app holds. @throws IopaError 500 where it gives a promise. */
  holds(context: Context, place: Levels, path: string): boolean {
    if (this.when === undefined) return true
    const holds: unknown = this.when(context, paramsOf(place, path))
    if (typeof holds === 'boolean') return holds
    throw withOrigin(
      new IopaError(500, 'async-condition', `The condition when of a rule must give true or false at once, not ${kindOf(holds)}.`),
      'internal'
    )
  }
}

const hasRole = (own: unknown, roles: ReadonlySet<string>): boolean => {
  if (!Array.isArray(own)) return false
  for (const role of own) if (roles.has(role as string)) return true
  return false
}

const namesOf = (member: string, given: string | readonly string[] | undefined): ReadonlySet<string> | null => {
  if (given === undefined) return null
  const names: unknown = typeof given === 'string' ? [given] : given
  if (!Array.isArray(names) || names.length === 0 || !names.every(name => typeof name === 'string' && name !== ''))
    throw optionError(`The member ${member} of a rule is a name or a list of names, not ${kindOf(given)}.`)
  return new Set(names as string[])
}
