import { app } from '../app.js';
import { h } from '../dom.js';
import { baseUnits, words } from '../format.js';
import { complain } from '../notify.js';
import { ApiError } from '../../zmart.js';

/** The form of a new market. */

const CATEGORIES = ['crypto', 'politics', 'sports', 'technology', 'finance', 'entertainment', 'science', 'other'];
const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 7;
const B_LEAST = 100;

/** What is wrong with the amounts, in the units in which they are typed. */
function unfit(liquidity, b) {
  const found = [];
  if (baseUnits(liquidity) === null) found.push({ field: 'initial_liquidity', message: 'Type a number of SOL above zero, such as 1.' });
  if (BigInt(baseUnits(b) ?? 0) < BigInt(B_LEAST) * 1_000_000_000n) found.push({ field: 'b_parameter', message: `Type a number of at least ${B_LEAST}.` });
  return found;
}

/**
 * @param {(body: object) => Promise<void>} submit
 * @param {string} [action] the word on the button
 */
export function createForm(submit, action = 'Create the market') {
  const problems = new Map();
  const field = (name, label, input, help = '') => {
    const problem = h('span.problem', { id: `${name}-problem`, hidden: true });
    input.setAttribute('aria-describedby', problem.id);
    problems.set(name, { input, problem });
    return h('label.field', { class: name === 'question' || name === 'description' ? 'whole' : '' }, h('span', {}, label), input, help ? h('span.help', {}, help) : null, problem);
  };
  const question = h('input.input', { name: 'question', required: true, minlength: 10, maxlength: 200, placeholder: 'Will it rain in Lisbon tomorrow?' });
  const description = h('textarea.input', { name: 'description', maxlength: 2000, placeholder: 'How it is decided, and by what source.' });
  const category = h('select.input', { name: 'category' }, CATEGORIES.map((each) => h('option', { value: each }, words(each))));
  const days = h('input.input', { name: 'end_date', type: 'number', min: 1, max: 365, value: DEFAULT_DAYS, required: true });
  const liquidity = h('input.input', { name: 'initial_liquidity', inputmode: 'decimal', value: '1', required: true });
  const b = h('input.input', { name: 'b_parameter', inputmode: 'decimal', value: String(B_LEAST), required: true });
  const button = h('button.button.primary', { 'data-do': 'create' }, action);

  const show = (fields) => {
    for (const [name, { input, problem }] of problems) {
      const found = fields.find((each) => each.field === name);
      problem.hidden = !found;
      problem.textContent = found?.message ?? '';
      input.setAttribute('aria-invalid', String(Boolean(found)));
    }
    const first = fields.find((each) => problems.has(each.field));
    if (first) problems.get(first.field).input.focus();
  };
  const read = () => ({
    question: question.value.trim(),
    description: description.value.trim(),
    category: category.value,
    tags: [],
    end_date: Math.floor(app.chainNowMs() + Number(days.value) * DAY_MS),
    initial_liquidity: baseUnits(liquidity.value) ?? liquidity.value,
    b_parameter: baseUnits(b.value) ?? b.value,
  });
  return h('form.form', {
    onsubmit: async (event) => {
      event.preventDefault();
      if (button.ariaBusy === 'true') return;
      button.ariaBusy = 'true';
      show([]);
      try {
        const amounts = unfit(liquidity.value, b.value);
        if (amounts.length) return show(amounts);
        await submit(read());
      } catch (error) {
        if (error instanceof ApiError && error.fields.length) show(error.fields);
        complain(error);
      } finally {
        button.ariaBusy = null;
      }
    },
  },
  field('question', 'Question', question),
  field('description', 'Description', description),
  field('category', 'Category', category),
  field('end_date', 'Ends in days', days),
  field('initial_liquidity', 'Named liquidity, SOL', liquidity, 'Nothing is taken from you. Winners share this amount and the collected fees, as far as traders’ money covers it.'),
  field('b_parameter', 'Depth', b, `At least ${B_LEAST}. The higher, the less a trade moves the price.`),
  h('div.whole', {}, button));
}
