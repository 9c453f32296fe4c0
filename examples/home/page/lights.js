// A card with a switch and a slider for each light.
import { cardsOf } from './cards.js'
import { showChanges } from './changes.js'

/** Milliseconds between two changes while a slider moves. */
const PAUSE = 100

const create = (id, card) => {
  const toggle = card.querySelector('.switch')
  const slider = card.querySelector('input')
  const output = card.querySelector('output')
  const fault = card.querySelector('.fault')
  let light = { on: false, level: 0 }
  let moving = false
  let busy = false
  let next = null
  toggle.setAttribute('aria-label', id)
  slider.setAttribute('aria-label', `Level of ${id}`)

  const show = () => {
    toggle.setAttribute('aria-checked', String(light.on))
    // What was chosen stays until the house has it.
    if (!moving && !busy) slider.value = String(light.level)
    slider.setAttribute('aria-valuetext', `${slider.value} percent`)
    output.textContent = `${slider.value} %`
    card.style.setProperty('--glow', light.on ? String(0.25 + (0.75 * light.level) / 100) : '0')
  }

  /** Sends the newest change; those that come while one is under way replace each other. */
  const send = async change => {
    next = { ...next, ...change }
    if (busy) return
    busy = true
    while (next !== null) {
      const body = JSON.stringify(next)
      next = null
      try {
        const answer = await fetch(`/lights/${encodeURIComponent(id)}`, {
          method: 'PATCH',
          headers: { 'content-type': 'application/merge-patch+json' },
          body
        })
        const told = await answer.json()
        if (answer.ok) light = told
        fault.textContent = answer.ok ? '' : told.detail
        fault.hidden = answer.ok
      } catch {
        fault.textContent = 'The house does not answer. The light is as it was.'
        fault.hidden = false
        next = null
      }
      await new Promise(resolve => setTimeout(resolve, PAUSE))
    }
    busy = false
    show()
    void showChanges()
  }

  toggle.onclick = () => send({ on: !light.on })
  slider.oninput = () => {
    moving = true
    show()
    void send({ level: Number(slider.value) })
  }
  slider.onchange = () => {
    moving = false
  }
  return state => {
    light = state
    show()
  }
}

/** The cards of the lights. */
export const lightCards = list => cardsOf(list, document.querySelector('#light'), create)
