/** In place of a next state: the event must not happen. */
export const REFUSED = 255

/**
 * A table of transitions by number, so that a step of a machine costs one look: the next state for `state * events.length + event`, or `REFUSED`.
 * `table` has for each state the events that may happen in it, and the state after each.
 */
export const compileTransitions = <State extends string, Event extends string>(
  states: readonly State[],
  events: readonly Event[],
  table: Readonly<Record<State, Readonly<Partial<Record<Event, State>>>>>
): Uint8Array => {
  const compiled = new Uint8Array(states.length * events.length).fill(REFUSED)
  for (const [state, name] of states.entries()) {
    for (const [event, eventName] of events.entries()) {
      const next = table[name][eventName]
      if (next !== undefined) compiled[state * events.length + event] = states.indexOf(next)
    }
  }
  return compiled
}
