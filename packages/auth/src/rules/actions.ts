import { kindOf, optionError } from '@iopa/appbuilder/extension'
import { CONTROL_METHODS, changesState, METHODS } from '@iopa/constants'

/** What a rule lets do: a method by its name, or `read` (GET, HEAD, FETCH, and observing), `observe` (observing alone), `change` (everything else that changes something). */
export type Action = 'read' | 'observe' | 'change' | (string & {})

/** The actions of a rule, compiled. */
export interface Actions {
  readonly all: boolean
  readonly read: boolean
  readonly observe: boolean
  readonly change: boolean
  readonly methods: ReadonlySet<string>
}

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const GROUPS: ReadonlySet<string> = new Set(['read', 'observe', 'change'])

/** @throws IopaError 500 for what is no action. */
export const actionsOf = (may: Action | readonly Action[] | undefined): Actions => {
  const names = may === undefined ? [] : typeof may === 'string' ? [may] : may
  if (!Array.isArray(names) || (may !== undefined && names.length === 0))
    throw optionError(`The member may of a rule is 'read', 'observe', 'change', a method, or a list of these, not ${kindOf(may)}.`)
  for (const name of names) {
    if (typeof name !== 'string' || !METHOD.test(name) || (name !== METHODS.IPATCH && !GROUPS.has(name) && name !== name.toUpperCase()))
      throw optionError(`A rule may 'read', 'observe', 'change', or name methods such as 'GET'; ${kindOf(name)} is none of them.`)
  }
  return {
    all: may === undefined,
    read: names.includes('read'),
    observe: names.includes('observe'),
    change: names.includes('change'),
    methods: new Set(names.filter(name => !GROUPS.has(name)))
  }
}

const isRead = (method: string): boolean => method === METHODS.GET || method === METHODS.HEAD || method === METHODS.FETCH

/** True where the actions hold a request. A publication to a topic that is no path of the app has the method PUBLISH. */
export const includes = (actions: Actions, method: string, observing: boolean): boolean => {
  if (actions.all) return true
  if (method === CONTROL_METHODS.SUBSCRIBE)
    return actions.read || actions.observe || actions.methods.has(CONTROL_METHODS.SUBSCRIBE) || actions.methods.has(METHODS.GET)
  if (observing && actions.observe) return true
  if (isRead(method)) return actions.read || actions.methods.has(method) || (method === METHODS.HEAD && actions.methods.has(METHODS.GET))
  if (actions.change && (changesState(method) || method === CONTROL_METHODS.PUBLISH || method === CONTROL_METHODS.DATA)) return true
  return actions.methods.has(method)
}

/** True where the actions hold some request of a method; undefined for any. */
export const mayInclude = (actions: Actions, method: string | undefined): boolean =>
  method === undefined || includes(actions, method, method === METHODS.GET)
